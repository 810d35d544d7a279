//! In: netlink attributes, to write or to read. Out: their bytes, or one of
//! them found among others.
//!
//! Reading goes attribute by attribute instead of through typed messages: a
//! newer kernel's unknown or longer attribute must never keep a container
//! from starting.

use netlink_packet_core::{NLA_F_NESTED, NlasIterator};

/// Bytes of `struct nlattr`.
const HEADER: usize = 4;

/// Attributes being written, each aligned as the kernel wants it.
#[derive(Default)]
pub(crate) struct Attributes(Vec<u8>);

impl Attributes {
    /// `struct nlattr` (its own length and its kind, in host order), the value,
    /// and up to three bytes to the next multiple of four.
    pub fn bytes(mut self, kind: u16, value: &[u8]) -> Self {
        let length = u16::try_from(HEADER + value.len()).unwrap_or(u16::MAX);
        self.0.extend(length.to_ne_bytes());
        self.0.extend(kind.to_ne_bytes());
        self.0.extend(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self
    }

    /// A string with its closing NUL.
    pub fn string(self, kind: u16, value: &str) -> Self {
        let mut bytes = value.as_bytes().to_vec();
        bytes.push(0);
        self.bytes(kind, &bytes)
    }

    /// A number in host order, as route netlink has them.
    pub fn u32(self, kind: u16, value: u32) -> Self {
        self.bytes(kind, &value.to_ne_bytes())
    }

    /// A number in host order, as route netlink has them.
    pub fn u64(self, kind: u16, value: u64) -> Self {
        self.bytes(kind, &value.to_ne_bytes())
    }

    /// A number in network order, as nf_tables has them.
    pub fn be32(self, kind: u16, value: u32) -> Self {
        self.bytes(kind, &value.to_be_bytes())
    }

    /// A number in network order, as nf_tables has them.
    pub fn be64(self, kind: u16, value: u64) -> Self {
        self.bytes(kind, &value.to_be_bytes())
    }

    pub fn nest(self, kind: u16, inner: Attributes) -> Self {
        self.bytes(kind | NLA_F_NESTED, &inner.0)
    }

    pub fn finish(self) -> Vec<u8> {
        self.0
    }
}

/// The value of the first attribute of this kind.
pub(crate) fn find(attributes: &[u8], kind: u16) -> Option<&[u8]> {
    NlasIterator::new(attributes)
        .map_while(Result::ok)
        .find(|attribute| attribute.kind() == kind)
        .map(|attribute| {
            let start = attribute.into_inner();
            // `new_checked` has compared the length field with the slice.
            let length = usize::from(u16::from_ne_bytes([start[0], start[1]]));
            &start[HEADER..length]
        })
}

/// A string attribute's text, without its closing NUL.
pub(crate) fn text(value: &[u8]) -> String {
    let end = value.iter().position(|&byte| byte == 0);
    String::from_utf8_lossy(&value[..end.unwrap_or(value.len())]).into_owned()
}

/// A host-order number at an offset of a fixed structure.
pub(crate) fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    let field = bytes.get(offset..offset.checked_add(4)?)?;
    Some(u32::from_ne_bytes(field.try_into().ok()?))
}

/// A host-order number at an offset of a fixed structure.
pub(crate) fn u64_at(bytes: &[u8], offset: usize) -> Option<u64> {
    let field = bytes.get(offset..offset.checked_add(8)?)?;
    Some(u64::from_ne_bytes(field.try_into().ok()?))
}

/// A network-order number that fills the whole attribute.
pub(crate) fn be64(value: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(value.get(..8)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_found_again() {
        let inner = Attributes::default().be32(2, 7).string(3, "eth0");
        let bytes = Attributes::default().u32(1, 5).nest(9, inner).finish();
        assert_eq!(bytes.len() % 4, 0);
        assert_eq!(find(&bytes, 1).and_then(|value| u32_at(value, 0)), Some(5));
        let nest = find(&bytes, 9).unwrap();
        assert_eq!(text(find(nest, 3).unwrap()), "eth0");
        assert_eq!(find(nest, 4), None);
    }

    #[test]
    fn a_cut_attribute_ends_the_search() {
        let bytes = Attributes::default().string(1, "long enough").finish();
        assert_eq!(find(&bytes[..8], 1), None);
        assert_eq!(find(&[], 1), None);
    }
}
