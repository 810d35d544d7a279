//! In: the container's route socket. Out: the addresses by which others reach
//! the container.

use std::net::IpAddr;

use netlink_packet_core::NLM_F_DUMP;
use netlink_packet_route::address::AddressMessage;

use super::attribute::find;
use super::error::Error;
use super::socket::{Request, Socket};

const RTM_NEWADDR: u16 = 20;
const RTM_GETADDR: u16 = 22;
/// Bytes of `struct ifaddrmsg` before the attributes.
const HEADER: usize = 8;
const IFA_ADDRESS: u16 = 1;
/// The container's own address where `IFA_ADDRESS` is a tunnel's far end.
const IFA_LOCAL: u16 = 2;

/// Every address that is neither loopback nor link-local.
pub(crate) fn all(socket: &Socket) -> Result<Vec<IpAddr>, Error> {
    let request = Request::new(RTM_GETADDR, NLM_F_DUMP, &AddressMessage::default());
    let replies = socket
        .dump(&request)
        .map_err(|refusal| refusal.during("list", "addresses"))?;
    let mut addresses: Vec<_> = replies
        .iter()
        .filter(|reply| reply.kind == RTM_NEWADDR)
        .filter_map(|reply| {
            let attributes = reply.body.get(HEADER..)?;
            let bytes = find(attributes, IFA_LOCAL).or_else(|| find(attributes, IFA_ADDRESS))?;
            match bytes.len() {
                4 => Some(IpAddr::from(<[u8; 4]>::try_from(bytes).ok()?)),
                16 => Some(IpAddr::from(<[u8; 16]>::try_from(bytes).ok()?)),
                _ => None,
            }
        })
        .filter(|address| match address {
            IpAddr::V4(address) => !address.is_loopback() && !address.is_link_local(),
            IpAddr::V6(address) => !address.is_loopback() && !address.is_unicast_link_local(),
        })
        .collect();
    addresses.sort_unstable();
    addresses.dedup();
    Ok(addresses)
}
