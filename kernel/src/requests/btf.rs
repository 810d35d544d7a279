//! How the running kernel lays out its types.
//!
//! In: the bytes of `/sys/kernel/btf/vmlinux` (the kernel's
//! Documentation/bpf/btf.rst). Out: the number of a type, and where members are.
//! A kind of type that is not known here ends it: what comes after could not be
//! counted.

/// The first two bytes of every one.
const MAGIC: u16 = 0xeb9f;
/// Name, what it is, and its size or the type that it is about.
const HEAD: usize = 12;
/// Name, type, place: of a struct or union.
const MEMBER: usize = 12;
/// Name, type: of a function.
const PARAMETER: usize = 8;

const POINTER: u32 = 2;
const STRUCT: u32 = 4;
const UNION: u32 = 5;
const TYPEDEF: u32 = 8;
const FUNCTION: u32 = 13;

/// Deeper than anything is nested or renamed.
const DEEPEST: usize = 16;

/// The types, by number.
pub(super) struct Types<'b> {
    types: &'b [u8],
    strings: &'b [u8],
    /// Where each begins; number 1 is the first.
    begins: Vec<usize>,
}

/// One type.
#[derive(Clone, Copy)]
struct Type<'b> {
    name: u32,
    kind: u32,
    /// Whether places of members hold a width in their upper eight bits.
    wide: bool,
    of: u32,
    rest: &'b [u8],
}

impl<'b> Types<'b> {
    /// `None` when they cannot be understood.
    pub(super) fn parse(bytes: &'b [u8]) -> Option<Types<'b>> {
        if bytes.first_chunk().map(|b| u16::from_ne_bytes(*b))? != MAGIC {
            return None;
        }
        let [head, at, length, names, names_length] =
            std::array::from_fn(|field| number(bytes, 4 + 4 * field));
        let body = bytes.get(size(head?)?..)?;
        let part = |at: usize, length: usize| body.get(at..)?.get(..length);
        let mut types = Types {
            types: part(size(at?)?, size(length?)?)?,
            strings: part(size(names?)?, size(names_length?)?)?,
            begins: Vec::new(),
        };
        let mut at = 0;
        while at < types.types.len() {
            types.begins.push(at);
            let own = read(types.types.get(at..)?)?;
            at += HEAD + own.rest.len();
        }
        Some(types)
    }

    /// The number of the typedef of that name.
    pub(super) fn typedef(&self, name: &str) -> Option<u32> {
        let mut all = 1..=u32::try_from(self.begins.len()).ok()?;
        all.find(|id| {
            let own = self.own(*id);
            own.is_some_and(|t| t.kind == TYPEDEF && self.is_named(t.name, name))
        })
    }

    /// The types of a function's parameters; `function` may point to it.
    pub(super) fn parameters(&self, function: u32) -> Option<Vec<u32>> {
        let (_, own) = self.behind(function)?;
        let chunks = own.rest.chunks_exact(PARAMETER);
        let kinds = chunks.map(|parameter| number(parameter, 4)).collect();
        (own.kind == FUNCTION).then_some(kinds)?
    }

    /// What to add to an address and load from, one load after the other, to
    /// come from a struct (or a pointer to it) through `names` to the last one.
    pub(super) fn path(&self, from: u32, names: &[&str]) -> Option<Vec<i16>> {
        let (mut of, _) = self.behind(from)?;
        let mut path = vec![0_u32];
        for (step, name) in names.iter().enumerate() {
            let own = self.plain(of)?;
            if step > 0 && own.kind == POINTER {
                of = own.of;
                path.push(0);
            }
            let (place, kind) = self.member(of, name, DEEPEST)?;
            *path.last_mut()? += place;
            of = kind;
        }
        path.into_iter().map(|at| i16::try_from(at).ok()).collect()
    }

    /// A member's place in bytes, and its type.
    fn member(&self, of: u32, name: &str, deepest: usize) -> Option<(u32, u32)> {
        let own = self.plain(of)?;
        if !matches!(own.kind, STRUCT | UNION) {
            return None;
        }
        own.rest.chunks_exact(MEMBER).find_map(|member| {
            let (named, kind) = (number(member, 0)?, number(member, 4)?);
            let bits = number(member, 8)? & if own.wide { 0xff_ffff } else { u32::MAX };
            if named != 0 {
                return self.is_named(named, name).then_some((bits / 8, kind));
            }
            // What is in a nameless struct or union is the outer one's.
            let (inner, kind) = self.member(kind, name, deepest.checked_sub(1)?)?;
            Some((bits / 8 + inner, kind))
        })
    }

    /// A type, or the one that it points to, and its number.
    fn behind(&self, id: u32) -> Option<(u32, Type<'b>)> {
        let own = self.plain(id)?;
        match own.kind {
            POINTER => Some((own.of, self.plain(own.of)?)),
            _ => Some((id, own)),
        }
    }

    /// A type without other names and qualifiers.
    fn plain(&self, mut id: u32) -> Option<Type<'b>> {
        for _ in 0..DEEPEST {
            let own = self.own(id)?;
            match own.kind {
                // Volatile, const, restrict, a tag.
                TYPEDEF | 9..=11 | 18 => id = own.of,
                _ => return Some(own),
            }
        }
        None
    }

    fn own(&self, id: u32) -> Option<Type<'b>> {
        let at = *self.begins.get(size(id)?.checked_sub(1)?)?;
        read(self.types.get(at..)?)
    }

    fn is_named(&self, at: u32, name: &str) -> bool {
        let text = size(at).and_then(|at| self.strings.get(at..));
        text.and_then(|text| text.strip_prefix(name.as_bytes()))
            .is_some_and(|rest| rest.first() == Some(&0))
    }
}

/// The type that these bytes begin with.
fn read(bytes: &[u8]) -> Option<Type<'_>> {
    let info = number(bytes, 4)?;
    let (kind, count) = (info >> 24 & 0x1f, size(info & 0xffff)?);
    let rest = match kind {
        // An integer, a variable, a tag of a declaration.
        1 | 14 | 17 => 4,
        // A pointer, a forward, a typedef, qualifiers, a function, a float.
        2 | 7..=12 | 16 | 18 => 0,
        // An array.
        3 => 12,
        STRUCT | UNION => count * MEMBER,
        // Values of 32 bits, of 64, a section.
        6 => count * 8,
        15 | 19 => count * 12,
        FUNCTION => count * PARAMETER,
        _ => return None,
    };
    Some(Type {
        name: number(bytes, 0)?,
        kind,
        wide: info >> 31 == 1,
        of: number(bytes, 8)?,
        rest: bytes.get(HEAD..)?.get(..rest)?,
    })
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    bytes
        .get(at..)?
        .first_chunk()
        .map(|b| u32::from_ne_bytes(*b))
}

fn size(number: u32) -> Option<usize> {
    usize::try_from(number).ok()
}

#[cfg(test)]
pub(super) mod tests;
