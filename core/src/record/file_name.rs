//! A file name for any id.
//!
//! In: an engine's container id, any text. Out: a name that is one path
//! component, hidden from nobody, below NAME_MAX, different for different ids.

/// Longest encoded id: NAME_MAX (255) less suffixes and a temporary's mark.
const LONGEST: usize = 180;

/// Letters, digits, `_`, `-`, `+` and inner dots stay; other bytes become `%XX`.
#[must_use]
pub fn of(id: &str) -> String {
    let mut name = String::with_capacity(id.len());
    for (at, byte) in id.bytes().enumerate() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' | b'+' => {
                name.push(char::from(byte));
            }
            b'.' if at > 0 => name.push('.'),
            other => name.push_str(&format!("%{other:02X}")),
        }
        if name.len() > LONGEST {
            // What is cut off is told by its hash. `~` is in no other name.
            name.truncate(LONGEST - 40);
            return format!("{name}~{:032x}", hash(id));
        }
    }
    if name.is_empty() {
        // The empty id is no container's, yet must not be the folder itself.
        name.push('%');
    }
    name
}

/// The id that a file name was made of; `None` where only its hash is left.
pub(super) fn id(name: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'~' => return None,
            b'%' => {
                let digits = [rest.next()?, rest.next()?];
                let digits = str::from_utf8(&digits).ok()?;
                bytes.push(u8::from_str_radix(digits, 16).ok()?);
            }
            byte => bytes.push(byte),
        }
    }
    String::from_utf8(bytes).ok()
}

/// FNV-1a with 128 bits (draft-eastlake-fnv: offset basis and prime).
pub(super) fn hash(id: &str) -> u128 {
    id.bytes()
        .fold(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d, |hash, byte| {
            (hash ^ u128::from(byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b)
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn usual_ids_stay_readable_and_unusual_ones_stay_inside() {
        for (id, name) in [
            ("web-1", "web-1"),
            ("a.b_c+d", "a.b_c+d"),
            ("..", "%2E."),
            (".hidden", "%2Ehidden"),
            ("../../etc/passwd", "%2E.%2F..%2Fetc%2Fpasswd"),
            ("", "%"),
            ("%", "%25"),
            ("~", "%7E"),
            ("nul\0", "nul%00"),
        ] {
            assert_eq!(of(id), name);
        }
        assert_eq!(super::id("web%40a.b").as_deref(), Some("web@a.b"));
        assert_eq!(super::id("a~b"), None);
    }

    proptest! {
        #[test]
        fn any_id_is_one_short_component(id in "\\PC{0,400}", other in "\\PC{0,400}") {
            let name = of(&id);
            prop_assert!(name.len() <= LONGEST && !name.starts_with('.') && !name.contains('/'));
            prop_assert!(id == other || name != of(&other));
        }
    }
}
