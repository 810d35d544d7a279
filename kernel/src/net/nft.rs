//! In: nf_tables objects by name. Out: the requests that make, replace, list
//! and delete them, sent as transactions.

use std::io;

use netlink_packet_core::{NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL};

use super::attribute::{Attributes, be64, find, text};
use super::error::Error;
use super::socket::{Refusal, Reply, Request, Socket};
use super::table::Chain;

const SUBSYSTEM: u16 = 10 << 8;
const BATCH_BEGIN: u16 = 16;
const BATCH_END: u16 = 17;
const NEW_TABLE: u16 = SUBSYSTEM;
const GET_TABLE: u16 = SUBSYSTEM | 1;
const DELETE_TABLE: u16 = SUBSYSTEM | 2;
const NEW_CHAIN: u16 = SUBSYSTEM | 3;
const NEW_RULE: u16 = SUBSYSTEM | 6;
const GET_RULE: u16 = SUBSYSTEM | 7;
const NEW_OBJECT: u16 = SUBSYSTEM | 18;
const GET_OBJECT: u16 = SUBSYSTEM | 19;
const OBJECT_COUNTER: u32 = 1;
/// Bytes of `struct nfgenmsg` before the attributes.
const HEADER: usize = 4;
/// `NFTNL_UDATA_TABLE_COMMENT` and `NFTNL_UDATA_RULE_COMMENT`: how `nft list`
/// finds a comment in user data.
const COMMENT: u8 = 0;

/// The packets that a table sees (`NFPROTO_*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4 and IPv6, at the IP stack's hooks.
    Inet,
    /// Everything, at one interface.
    Netdev,
}

impl Family {
    fn number(self) -> u8 {
        match self {
            Self::Inet => 1,
            Self::Netdev => 5,
        }
    }
}

/// A rule as the kernel has it.
#[derive(Debug)]
pub(crate) struct Found {
    pub chain: String,
    pub handle: u64,
    pub label: String,
}

/// A named counter as the kernel has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counter {
    /// The counter's name.
    pub name: String,
    /// Packets counted; an unsplit segment counts once.
    pub packets: u64,
    /// Bytes counted, from the IP header on.
    pub bytes: u64,
}

/// Sends requests as one transaction. A refusal's index is that of the
/// request among these.
pub(crate) fn commit(socket: &Socket, requests: Vec<Request>) -> Result<(), Refusal> {
    let mark = |kind| Request {
        kind,
        flags: 0,
        // The subsystem, in network order.
        body: vec![0, 0, 0, 10],
    };
    let mut batch = Vec::with_capacity(requests.len() + 2);
    batch.push(mark(BATCH_BEGIN));
    batch.extend(requests);
    let last = batch.len() - 1;
    batch.push(mark(BATCH_END));
    // The kernel acknowledges nothing for the end mark.
    match socket.transact(&batch, last) {
        Ok(_) => Ok(()),
        Err(mut refusal) => {
            refusal.index = refusal.index.saturating_sub(1);
            Err(refusal)
        }
    }
}

/// The comment of a table, if the table is there.
pub(crate) fn table(
    socket: &Socket,
    family: Family,
    name: &str,
) -> Result<Option<Option<String>>, Error> {
    let attributes = Attributes::default().string(1, name);
    match socket.call(&request(GET_TABLE, 0, family, attributes)) {
        Ok(replies) => Ok(replies.first().map(|reply| comment(reply, 6))),
        Err(refusal) => match unknown(refusal).during("look up nf_tables table", name) {
            error if error.is_absent() => Ok(None),
            error => Err(error),
        },
    }
}

/// A kernel without nf_tables answers a question to it with EINVAL, which its
/// nf_tables never do to a look for a table: that it knows no such thing.
fn unknown(mut refusal: Refusal) -> Refusal {
    if refusal.source.raw_os_error() == Some(libc::EINVAL) {
        refusal.source = io::Error::from_raw_os_error(libc::EOPNOTSUPP);
    }
    refusal
}

/// Name and comment of every table of a family.
pub(crate) fn tables(
    socket: &Socket,
    family: Family,
) -> Result<Vec<(String, Option<String>)>, Error> {
    let replies = socket
        .dump(&request(
            GET_TABLE,
            NLM_F_DUMP,
            family,
            Attributes::default(),
        ))
        .map_err(|refusal| unknown(refusal).during("list", "nf_tables tables"))?;
    Ok(replies
        .iter()
        .filter_map(|reply| {
            let name = find(reply.body.get(HEADER..)?, 1)?;
            Some((text(name), comment(reply, 6)))
        })
        .collect())
}

/// The table's rules in their order.
pub(crate) fn rules(socket: &Socket, family: Family, table: &str) -> Result<Vec<Found>, Error> {
    let attributes = Attributes::default().string(1, table);
    let replies = socket
        .dump(&request(GET_RULE, NLM_F_DUMP, family, attributes))
        .map_err(|refusal| refusal.during("list the rules of nf_tables table", table))?;
    Ok(replies
        .iter()
        .filter_map(|reply| {
            let attributes = reply.body.get(HEADER..)?;
            // Old kernels list every table's rules whatever was asked for.
            if text(find(attributes, 1)?) != table {
                return None;
            }
            Some(Found {
                chain: text(find(attributes, 2)?),
                handle: be64(find(attributes, 3)?)?,
                label: comment(reply, 7).unwrap_or_default(),
            })
        })
        .collect())
}

/// The table's named counters.
pub(crate) fn counters(
    socket: &Socket,
    family: Family,
    table: &str,
) -> Result<Vec<Counter>, Error> {
    let attributes = Attributes::default()
        .string(1, table)
        .be32(3, OBJECT_COUNTER);
    let replies = socket
        .dump(&request(GET_OBJECT, NLM_F_DUMP, family, attributes))
        .map_err(|refusal| refusal.during("read the counters of nf_tables table", table))?;
    Ok(replies
        .iter()
        .filter_map(|reply| {
            let attributes = reply.body.get(HEADER..)?;
            if text(find(attributes, 1)?) != table {
                return None;
            }
            let data = find(attributes, 4)?;
            Some(Counter {
                name: text(find(attributes, 2)?),
                bytes: be64(find(data, 1)?)?,
                packets: be64(find(data, 2)?)?,
            })
        })
        .collect())
}

pub(crate) fn new_table(family: Family, name: &str, mark: &str) -> Request {
    let attributes = Attributes::default()
        .string(1, name)
        .bytes(6, &user_data(mark));
    // Exclusive, or two at work for one container would each add their rules.
    request(NEW_TABLE, NLM_F_CREATE | NLM_F_EXCL, family, attributes)
}

/// Deletes the table with everything in it.
pub(crate) fn delete_table(family: Family, name: &str) -> Request {
    request(
        DELETE_TABLE,
        0,
        family,
        Attributes::default().string(1, name),
    )
}

pub(crate) fn new_counter(family: Family, table: &str, name: &str) -> Request {
    let attributes = Attributes::default()
        .string(1, table)
        .string(2, name)
        .be32(3, OBJECT_COUNTER)
        .nest(4, Attributes::default());
    request(NEW_OBJECT, NLM_F_CREATE, family, attributes)
}

pub(crate) fn new_chain(family: Family, table: &str, chain: &Chain) -> Request {
    let mut attributes = Attributes::default()
        .string(1, table)
        .string(3, &chain.name);
    if let Some(hook) = &chain.hook {
        let mut place = Attributes::default()
            .be32(1, hook.number)
            .be32(2, hook.priority.cast_unsigned());
        if let Some(device) = &hook.device {
            place = place.string(3, device);
        }
        attributes = attributes.nest(4, place).string(7, "filter");
    }
    request(NEW_CHAIN, NLM_F_CREATE, family, attributes)
}

pub(crate) fn rule(
    family: Family,
    table: &str,
    chain: &str,
    label: &str,
    handle: Option<u64>,
    expressions: Attributes,
    flags: u16,
) -> Request {
    let mut attributes = Attributes::default().string(1, table).string(2, chain);
    if let Some(handle) = handle {
        attributes = attributes.be64(3, handle);
    }
    attributes = attributes.nest(4, expressions).bytes(7, &user_data(label));
    request(NEW_RULE, flags, family, attributes)
}

fn request(kind: u16, flags: u16, family: Family, attributes: Attributes) -> Request {
    let mut body = vec![family.number(), 0, 0, 0];
    body.extend(attributes.finish());
    Request { kind, flags, body }
}

/// Type, length, text and NUL: libnftnl's form of a comment.
fn user_data(comment: &str) -> Vec<u8> {
    let length = u8::try_from(comment.len() + 1).unwrap_or(u8::MAX);
    let mut data = vec![COMMENT, length];
    data.extend(comment.bytes().take(usize::from(length) - 1));
    data.push(0);
    data
}

fn comment(reply: &Reply, attribute: u16) -> Option<String> {
    let data = find(reply.body.get(HEADER..)?, attribute)?;
    match data {
        [COMMENT, length, rest @ ..] => rest.get(..usize::from(*length)).map(text),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A subsystem that no kernel has: the answer of one that was built
    /// without nf_tables.
    #[test]
    fn a_kernel_without_nf_tables_lacks_them() {
        let Ok(socket) = Socket::netfilter() else {
            eprintln!("SKIPPED: no netfilter netlink here");
            return;
        };
        for flags in [0, NLM_F_DUMP] {
            let mut ask = request(GET_TABLE, flags, Family::Inet, Attributes::default());
            ask.kind = 0xfe << 8 | 1;
            let Err(refusal) = socket.call(&ask) else {
                panic!("subsystem 254 answers");
            };
            let error = unknown(refusal).during("look up", "it");
            assert!(error.is_lacking() && !error.may_be_a_race(), "{error:?}");
        }
    }
}
