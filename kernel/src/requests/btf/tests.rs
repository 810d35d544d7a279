use super::*;

/// Types made by hand.
#[derive(Default)]
pub struct Blob {
    types: Vec<u32>,
    strings: Vec<u8>,
    count: u32,
}

impl Blob {
    fn put(&mut self, name: &str, info: u32, of: u32, rest: &[u32]) -> u32 {
        let name = self.string(name);
        self.types.extend([name, info, of]);
        self.types.extend(rest);
        self.count += 1;
        self.count
    }

    fn string(&mut self, text: &str) -> u32 {
        if self.strings.is_empty() {
            self.strings.push(0);
        }
        if text.is_empty() {
            return 0;
        }
        let at = self.strings.len();
        self.strings.extend(text.as_bytes());
        self.strings.push(0);
        u32::try_from(at).unwrap()
    }

    pub fn integer(&mut self, name: &str, bytes: u32) -> u32 {
        self.put(name, 1 << 24, bytes, &[bytes * 8])
    }

    pub fn pointer(&mut self, to: u32) -> u32 {
        self.put("", POINTER << 24, to, &[])
    }

    pub fn typedef(&mut self, name: &str, of: u32) -> u32 {
        self.put(name, TYPEDEF << 24, of, &[])
    }

    pub fn function(&mut self, parameters: &[u32]) -> u32 {
        let rest: Vec<u32> = parameters.iter().flat_map(|kind| [0, *kind]).collect();
        let count = u32::try_from(parameters.len()).unwrap();
        self.put("", FUNCTION << 24 | count, 0, &rest)
    }

    /// Members by name, place in bits, and type.
    pub fn structure(&mut self, name: &str, members: &[(&str, u32, u32)]) -> u32 {
        self.composite(name, STRUCT << 24, members)
    }

    fn composite(&mut self, name: &str, info: u32, members: &[(&str, u32, u32)]) -> u32 {
        let mut rest = Vec::new();
        for (name, bits, kind) in members {
            let name = self.string(name);
            rest.extend([name, *kind, *bits]);
        }
        let count = u32::try_from(members.len()).unwrap();
        self.put(name, info | count, 0, &rest)
    }

    pub fn bytes(&self) -> Vec<u8> {
        let types = u32::try_from(self.types.len() * 4).unwrap();
        let strings = u32::try_from(self.strings.len()).unwrap();
        let mut out = MAGIC.to_ne_bytes().to_vec();
        out.extend([1, 0]);
        for word in [24, 0, types, types, strings].iter().chain(&self.types) {
            out.extend(word.to_ne_bytes());
        }
        out.extend(&self.strings);
        out
    }
}

#[test]
fn a_width_is_no_place() {
    let mut blob = Blob::default();
    let int = blob.integer("int", 4);
    let flags = [("first", 3 << 24 | 64, int), ("second", 96, int)];
    let id = blob.composite("flags", 1 << 31 | STRUCT << 24, &flags);
    let bytes = blob.bytes();
    let types = Types::parse(&bytes).unwrap();
    assert_eq!(types.path(id, &["first"]), Some(vec![8]));
    assert_eq!(types.path(id, &["second"]), Some(vec![12]));
    assert_eq!(types.path(id, &["sec"]), None);
}

#[test]
fn what_is_not_known_ends_it() {
    let mut blob = Blob::default();
    blob.integer("int", 4);
    assert!(Types::parse(&blob.bytes()).is_some());
    blob.put("new", 31 << 24, 0, &[]);
    assert!(Types::parse(&blob.bytes()).is_none());
}

#[test]
fn a_struct_within_itself_is_no_endless_walk() {
    let mut blob = Blob::default();
    let id = blob.structure("", &[("", 0, 1)]);
    let bytes = blob.bytes();
    assert_eq!(Types::parse(&bytes).unwrap().path(id, &["x"]), None);
}
