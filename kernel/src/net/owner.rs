//! In: a container's or sandbox's id. Out: the names of what is made for it,
//! and the id again from what is found.
//!
//! Interface names hold 15 characters and ids are longer, so names carry a
//! 60-bit hash of the id and the object carries the id itself: an interface
//! in its alias, an nf_tables table in its comment. With 60 bits, a million
//! containers collide once in two million nodes; the id beside the hash
//! turns even that into an error instead of a mix-up.

use super::error::Error;

/// Begins the name of every ifb interface of ours.
pub(crate) const LINK_PREFIX: &str = "prk";
/// Begins the name of every nf_tables table of ours.
pub(crate) const TABLE_PREFIX: &str = "packrank-";
/// Begins the alias or comment that carries the owner's id.
const MARK: &str = "packrank ";
/// An nf_tables comment holds 128 bytes with its NUL, an alias 255.
const LONGEST_ID: usize = 118;

/// Whose object it is: the id and the names derived from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    pub id: String,
    hash: String,
}

impl Owner {
    pub fn new(id: &str) -> Result<Self, Error> {
        let why = if id.is_empty() {
            Some("it is empty")
        } else if id.len() > LONGEST_ID {
            Some("it is longer than 118 bytes")
        } else if id.chars().any(char::is_control) {
            Some("it holds a control character")
        } else {
            None
        };
        match why {
            Some(why) => Err(Error::Id {
                id: id.chars().take(LONGEST_ID).collect(),
                why,
            }),
            None => Ok(Self {
                id: id.to_owned(),
                hash: hash(id),
            }),
        }
    }

    /// The name of the container's ifb interface: 15 characters.
    pub fn link(&self) -> String {
        format!("{LINK_PREFIX}{}", self.hash)
    }

    /// The name of the container's nf_tables tables.
    pub fn table(&self) -> String {
        format!("{TABLE_PREFIX}{}", self.hash)
    }

    /// The alias or comment that carries the id.
    pub fn mark(&self) -> String {
        format!("{MARK}{}", self.id)
    }
}

/// The id in an alias or comment of ours.
pub(crate) fn id_in(mark: &str) -> Option<&str> {
    mark.strip_prefix(MARK)
}

/// The first 60 bits of FNV-1a (64 bit, <http://www.isthe.com/chongo/tech/comp/fnv/>)
/// after a final mix, in base 32: twelve characters. Written out because
/// names must stay the same between builds, which std's hashers do not promise.
fn hash(id: &str) -> String {
    const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
    let mut state: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in id.bytes() {
        state = (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    // FNV's last bytes reach the high bits only weakly (murmur3's fmix64).
    state = (state ^ (state >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    state = (state ^ (state >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    state ^= state >> 33;
    (0..12)
        .map(|place| {
            let digit = usize::try_from((state >> (place * 5)) & 31).unwrap_or(0);
            char::from(ALPHABET[digit])
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_fit_and_stay_the_same_between_builds() {
        let owner = Owner::new("3f4e1b6a").unwrap();
        assert_eq!(owner.link().len(), 15);
        assert_eq!(owner.link(), Owner::new("3f4e1b6a").unwrap().link());
        assert_eq!(owner.link(), PINNED);
        assert_eq!(id_in(&owner.mark()), Some("3f4e1b6a"));
        assert_eq!(id_in("someone else's"), None);
    }

    const PINNED: &str = "prkdb7dcw156gnq";

    #[test]
    fn near_ids_get_distinct_names() {
        let names: HashSet<_> = (0..100_000)
            .map(|n| Owner::new(&format!("{n:064x}")).unwrap().link())
            .collect();
        assert_eq!(names.len(), 100_000);
    }

    #[test]
    fn ids_that_cannot_be_carried_are_refused() {
        assert!(Owner::new("").is_err());
        assert!(Owner::new(&"a".repeat(119)).is_err());
        assert!(Owner::new("a\nb").is_err());
    }
}
