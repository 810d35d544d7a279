//! In: an owner's id, or nothing. Out: what is left of ours on the host,
//! found and deleted.
//!
//! A veth takes its qdiscs with it, and a namespace its tables. What stays on
//! the host is the ifb and the nf_tables tables; both carry the owner's id.

use super::Object;
use super::error::Error;
use super::frame;
use super::link::{self, Link};
use super::nft::{self, Family};
use super::owner::{self, LINK_PREFIX, Owner, TABLE_PREFIX};
use super::redirect;
use super::settle;
use super::socket::Socket;
use super::table::Change;

/// An object of ours found on the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ours {
    /// The object.
    pub object: Object,
    /// The container or sandbox it was made for; none where whoever made it
    /// was killed before it could say, or is just about to.
    pub owner: Option<String>,
    /// Whether it still holds an interface, which is there as long as the
    /// container's network namespace is.
    pub used: bool,
}

/// Deletes what was made for this container on the host. Returns what was
/// there; nothing there is no error, so every one of hook, `delete` and
/// watcher may call it.
///
/// # Errors
///
/// When the kernel refuses; the rest has been tried then all the same.
pub fn remove(id: &str) -> Result<Vec<Object>, Error> {
    let owner = Owner::new(id)?;
    let mut removed = Vec::new();
    let mut first_error = None;
    // Tables first: they point to the ifb.
    if let Some(socket) = filter_socket()? {
        let name = owner.table();
        for family in [Family::Netdev, Family::Inet] {
            match settle::delete(&socket, &owner, family, &name) {
                Ok(Change::None) => {}
                Ok(_) => removed.push(Object::Table(family, name.clone())),
                Err(error) => first_error = first_error.or(Some(error)),
            }
        }
    }
    match Socket::route().and_then(|socket| link::delete_ifb(&socket, &owner)) {
        Ok(true) => removed.push(Object::Ifb(owner.link())),
        Ok(false) => {}
        Err(error) => first_error = first_error.or(Some(error)),
    }
    first_error.map_or(Ok(removed), Err)
}

/// Deletes an object that [`list_ours`] found without an owner, unless it has
/// one by now; whether it was there. For whoever knows that no container lives
/// that it [is named for](Object::is_named_for).
///
/// # Errors
///
/// When the kernel refuses.
pub fn remove_nameless(object: &Object) -> Result<bool, Error> {
    match object {
        Object::Qdisc(_) => Ok(false),
        Object::Ifb(name) => {
            let socket = Socket::route()?;
            match link::by_name(&socket, name)? {
                Some(link) if link.alias.is_none() && is_ours(&link) => {
                    link::delete(&socket, link.index)
                }
                _ => Ok(false),
            }
        }
        Object::Table(family, name) => {
            let Some(socket) = filter_socket()? else {
                return Ok(false);
            };
            match nft::table(&socket, *family, name)? {
                Some(None) if name.starts_with(TABLE_PREFIX) => {
                    let done = nft::commit(&socket, vec![nft::delete_table(*family, name)]);
                    done.map_err(|refusal| refusal.during("delete nf_tables table", name))?;
                    Ok(true)
                }
                _ => Ok(false),
            }
        }
    }
}

fn is_ours(link: &Link) -> bool {
    link.kind.as_deref() == Some("ifb") && link.name.starts_with(LINK_PREFIX)
}

/// Everything of ours on the host, for whoever knows which containers live.
///
/// # Errors
///
/// When the kernel cannot be asked.
pub fn list_ours() -> Result<Vec<Ours>, Error> {
    let route = Socket::route()?;
    let links = link::all(&route)?;
    let mut ours = Vec::new();
    // Of the objects of one owner only the table at the interfaces knows them.
    let mut used = Vec::new();
    if let Some(socket) = filter_socket()? {
        for family in [Family::Netdev, Family::Inet] {
            let tables = match nft::tables(&socket, family) {
                Err(error) if error.is_lacking() => break,
                tables => tables?,
            };
            for (name, mark) in tables {
                if name.starts_with(TABLE_PREFIX) {
                    let bound = frame::bound(&socket, family, &name)?;
                    if links.iter().any(|link| bound.contains(&link.chain())) {
                        used.push(name.clone());
                    }
                    ours.push(Ours {
                        object: Object::Table(family, name),
                        owner: id_in(mark.as_deref()),
                        used: false,
                    });
                }
            }
        }
    }
    for ifb in links.iter().filter(|link| is_ours(link)) {
        let fed = |link: &Link| redirect::feeds(&route, link, ifb);
        let mut veths = links.iter().filter(|link| is_veth(link));
        if veths.any(|link| fed(link).unwrap_or(true)) {
            used.push(ifb.name.replacen(LINK_PREFIX, TABLE_PREFIX, 1));
        }
        ours.push(Ours {
            owner: id_in(ifb.alias.as_deref()),
            object: Object::Ifb(ifb.name.clone()),
            used: false,
        });
    }
    for one in &mut ours {
        one.used = match &one.object {
            Object::Ifb(name) => used.contains(&name.replacen(LINK_PREFIX, TABLE_PREFIX, 1)),
            Object::Table(_, name) => used.contains(name),
            Object::Qdisc(_) => false,
        };
    }
    Ok(ours)
}

fn is_veth(link: &Link) -> bool {
    link.kind.as_deref() == Some("veth")
}

fn id_in(mark: Option<&str>) -> Option<String> {
    mark.and_then(owner::id_in).map(str::to_owned)
}

/// None where the kernel has no netfilter netlink, hence no tables.
fn filter_socket() -> Result<Option<Socket>, Error> {
    match Socket::netfilter() {
        Ok(socket) => Ok(Some(socket)),
        Err(error) if error.is_lacking() => Ok(None),
        Err(error) => Err(error),
    }
}
