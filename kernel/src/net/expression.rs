//! In: what a firewall rule compares, counts and does. Out: nf_tables
//! expressions, the small instructions that its rules are made of.
//!
//! Written by hand on top of netlink attributes: the crates that could do it
//! either lack limit, connlimit, reject and forward, link libnftnl, are under
//! the GPL, or run the `nft` program, which costs more than the whole guard.
//! Numbers are from the kernel's `linux/netfilter/nf_tables.h`.

use super::attribute::Attributes;

const ELEMENT: u16 = 1;
const EXPRESSION_NAME: u16 = 1;
const EXPRESSION_DATA: u16 = 2;
const DATA_VALUE: u16 = 1;
const DATA_VERDICT: u16 = 2;
/// The one register that every rule here works in.
const REGISTER: u32 = 1;

/// One expression of a rule.
pub(crate) struct Expression(Attributes);

/// Writes a rule's expressions as the list the kernel takes.
pub(crate) fn list(expressions: Vec<Expression>) -> Attributes {
    expressions
        .into_iter()
        .fold(Attributes::default(), |list, expression| {
            list.nest(ELEMENT, expression.0)
        })
}

fn expression(name: &str, data: Attributes) -> Expression {
    Expression(
        Attributes::default()
            .string(EXPRESSION_NAME, name)
            .nest(EXPRESSION_DATA, data),
    )
}

/// Facts beside the packet that a rule can load (`NFT_META_*`).
#[derive(Clone, Copy)]
pub(crate) enum Meta {
    /// The Ethernet protocol, two bytes in network order.
    Protocol = 1,
    Mark = 3,
    InputInterface = 4,
    OutputInterface = 5,
    /// IPv4 or IPv6 in an inet table, one byte.
    Family = 15,
    /// TCP, UDP, …: one byte.
    Transport = 16,
}

pub(crate) fn load(meta: Meta) -> Expression {
    let data = Attributes::default().be32(1, REGISTER).be32(2, meta as u32);
    expression("meta", data)
}

/// Sets the packet's mark, which lives beside the packet and not on the wire.
pub(crate) fn set_mark(mark: u32) -> Vec<Expression> {
    let data = Attributes::default()
        .be32(2, Meta::Mark as u32)
        .be32(3, REGISTER);
    vec![value(&mark.to_ne_bytes()), expression("meta", data)]
}

fn value(bytes: &[u8]) -> Expression {
    let data = Attributes::default().bytes(DATA_VALUE, bytes);
    let immediate = Attributes::default().be32(1, REGISTER).nest(2, data);
    expression("immediate", immediate)
}

/// Goes on with the rule only if the register is (or is not) this.
pub(crate) fn compare(equal: bool, bytes: &[u8]) -> Expression {
    let data = Attributes::default().bytes(DATA_VALUE, bytes);
    let compare = Attributes::default()
        .be32(1, REGISTER)
        .be32(2, u32::from(!equal))
        .nest(3, data);
    expression("cmp", compare)
}

/// Keeps the register's masked bits and flips those in `flip`.
pub(crate) fn bits(mask: &[u8], flip: &[u8]) -> Expression {
    let length = u32::try_from(mask.len()).unwrap_or(u32::MAX);
    let data = Attributes::default()
        .be32(1, REGISTER)
        .be32(2, REGISTER)
        .be32(3, length)
        .nest(4, Attributes::default().bytes(DATA_VALUE, mask))
        .nest(5, Attributes::default().bytes(DATA_VALUE, flip));
    expression("bitwise", data)
}

/// From where payload offsets count (`NFT_PAYLOAD_*_HEADER`).
#[derive(Clone, Copy)]
pub(crate) enum Header {
    Network = 1,
}

pub(crate) fn load_bytes(header: Header, offset: u32, length: u32) -> Expression {
    let data = Attributes::default()
        .be32(1, REGISTER)
        .be32(2, header as u32)
        .be32(3, offset)
        .be32(4, length);
    expression("payload", data)
}

/// Writes the register over the first bytes of the network header, and mends
/// the header's checksum where it has one at this offset.
pub(crate) fn store_bytes(length: u32, checksum: Option<u32>) -> Expression {
    let mut data = Attributes::default()
        .be32(2, Header::Network as u32)
        .be32(3, 0)
        .be32(4, length)
        .be32(5, REGISTER);
    if let Some(offset) = checksum {
        // NFT_PAYLOAD_CSUM_INET
        data = data.be32(6, 1).be32(7, offset);
    }
    expression("payload", data)
}

/// Facts of the connection a packet belongs to (`NFT_CT_*`), four bytes each.
#[derive(Clone, Copy)]
pub(crate) enum Connection {
    State = 0,
    Status = 2,
}

pub(crate) fn load_connection(fact: Connection) -> Expression {
    let data = Attributes::default().be32(1, REGISTER).be32(2, fact as u32);
    expression("ct", data)
}

/// Goes on with the rule only above this rate: so many per second, after a
/// pause so many at once.
pub(crate) fn above(rate: u64, burst: u32, unit: Unit) -> Expression {
    let data = Attributes::default()
        .be64(1, rate)
        .be64(2, 1)
        .be32(3, burst)
        .be32(4, unit as u32)
        // NFT_LIMIT_F_INV
        .be32(5, 1);
    expression("limit", data)
}

/// What a rate counts (`NFT_LIMIT_*`).
#[derive(Clone, Copy)]
pub(crate) enum Unit {
    Packets = 0,
    Bytes = 1,
}

/// Takes the packet's connection into this rule's list; goes on with the rule
/// only if the list holds more than `count` living ones.
pub(crate) fn more_connections_than(count: u32) -> Expression {
    // NFT_CONNLIMIT_F_INV: match above, not up to, the count.
    expression("connlimit", Attributes::default().be32(1, count).be32(2, 1))
}

/// Adds the packet to a named counter.
pub(crate) fn count(counter: &str) -> Expression {
    // NFT_OBJECT_COUNTER
    expression(
        "objref",
        Attributes::default().be32(1, 1).string(2, counter),
    )
}

/// Answers with a RST and drops.
pub(crate) fn reset() -> Expression {
    expression("reject", Attributes::default().be32(1, 1).bytes(2, &[0]))
}

/// Answers with ICMP "port unreachable" of the packet's family and drops.
pub(crate) fn unreachable() -> Expression {
    expression("reject", Attributes::default().be32(1, 2).bytes(2, &[1]))
}

/// Hands the packet to another interface's queue, for good.
pub(crate) fn forward(interface: u32) -> Vec<Expression> {
    let data = Attributes::default().be32(1, REGISTER);
    vec![value(&interface.to_ne_bytes()), expression("fwd", data)]
}

/// What ends a rule.
#[derive(Clone, Copy)]
pub(crate) enum Verdict {
    Drop,
    Return,
    /// Go there and come back.
    Jump(&'static str),
    /// Go there for good.
    Goto(&'static str),
}

pub(crate) fn verdict(verdict: Verdict) -> Expression {
    // NF_DROP, NFT_RETURN, NFT_JUMP, NFT_GOTO
    let (code, chain): (i32, _) = match verdict {
        Verdict::Drop => (0, None),
        Verdict::Return => (-5, None),
        Verdict::Jump(chain) => (-3, Some(chain)),
        Verdict::Goto(chain) => (-4, Some(chain)),
    };
    let mut data = Attributes::default().be32(1, code.cast_unsigned());
    if let Some(chain) = chain {
        data = data.string(2, chain);
    }
    let immediate = Attributes::default()
        .be32(1, 0)
        .nest(2, Attributes::default().nest(DATA_VERDICT, data));
    expression("immediate", immediate)
}
