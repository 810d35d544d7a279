//! In: a table as it should be, part by part. Out: as much of it as this
//! kernel takes, and which parts it turned down.

use super::end::Sockets;
use super::error::Error;
use super::nft::{self, Family};
use super::owner::Owner;
use super::socket::Socket;
use super::table::{self, Change, Failure, Part, Table};

/// Makes a table what `build` says, leaving out one part after another that
/// the kernel turns down. None where it has no nf_tables at all.
pub(crate) fn settle(
    sockets: &Sockets,
    owner: &Owner,
    (family, name): &(Family, String),
    mut without: Vec<Part>,
    mut build: impl FnMut(&[Part]) -> Option<Table>,
) -> Result<Option<(Change, Vec<Part>)>, Error> {
    let Some(socket) = &sockets.filter else {
        return Ok(None);
    };
    loop {
        let outcome = match build(&without) {
            Some(table) => table::apply(socket, owner, table),
            None => Ok(delete(socket, owner, *family, name)?),
        };
        match outcome {
            Ok(change) => return Ok(Some((change, without))),
            Err(Failure { part, error }) if error.is_lacking() => match part {
                Some(part) if !without.contains(&part) => without.push(part),
                _ => return Ok(None),
            },
            Err(Failure { error, .. }) => return Err(error),
        }
    }
}

/// Deletes the owner's table, if it is there.
pub(crate) fn delete(
    socket: &Socket,
    owner: &Owner,
    family: Family,
    name: &str,
) -> Result<Change, Error> {
    let mark = match nft::table(socket, family, name) {
        Ok(Some(mark)) => mark,
        Ok(None) => return Ok(Change::None),
        Err(error) if error.is_lacking() => return Ok(Change::None),
        Err(error) => return Err(error),
    };
    table::check_owner(name, mark.as_deref(), owner)?;
    match nft::commit(socket, vec![nft::delete_table(family, name)]) {
        Ok(()) => Ok(Change::Recreated),
        Err(refusal) => match refusal.during("delete nf_tables table", name) {
            error if error.is_absent() => Ok(Change::None),
            error => Err(error),
        },
    }
}
