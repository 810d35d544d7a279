//! In: `linux.resources.devices`. Out: what the container may open and make, enforced: by
//! `devices.deny` and `devices.allow` on v1, by a program on the cgroup on v2.
//!
//! Everything is denied first, then the list applies in its order, then the devices that every
//! container gets. libcgroups starts from what the parent allows on v1, and enforces nothing on v2
//! unless it is built with libbpf; a container with CAP_MKNOD could then read the host's disks.

use libcontainer::oci_spec::runtime::{LinuxDeviceCgroup, LinuxDeviceType};

use super::{ResourceError, device_program};
use crate::cgroup::{Place, write};

/// One rule; `None` stands for any number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    pub allow: bool,
    pub kind: Node,
    pub major: Option<u32>,
    pub minor: Option<u32>,
    pub read: bool,
    pub write: bool,
    pub mknod: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Node {
    Any,
    Block,
    Character,
}

/// What runc gives to every container: making any node, and opening the harmless ones.
const ALWAYS: &[(Node, Option<u32>, Option<u32>, &str)] = &[
    (Node::Character, None, None, "m"),
    (Node::Block, None, None, "m"),
    (Node::Character, Some(1), Some(3), "rwm"), // null
    (Node::Character, Some(1), Some(5), "rwm"), // zero
    (Node::Character, Some(1), Some(7), "rwm"), // full
    (Node::Character, Some(1), Some(8), "rwm"), // random
    (Node::Character, Some(1), Some(9), "rwm"), // urandom
    (Node::Character, Some(5), Some(0), "rwm"), // tty
    (Node::Character, Some(5), Some(2), "rwm"), // ptmx
    (Node::Character, Some(136), None, "rwm"),  // the terminals of /dev/pts
];

pub fn apply(place: &Place, wanted: &[LinuxDeviceCgroup]) -> Result<(), ResourceError> {
    let rules = rules(wanted)?;
    if let Some(seat) = place.v2() {
        return device_program::attach(&seat.path, &rules)
            .map_err(|cause| ResourceError::Devices(format!("{}: {cause}", seat.path.display())));
    }
    let Some(directory) = place.controller("devices") else {
        return Ok(());
    };
    write(directory, "devices.deny", "a")?;
    for rule in &rules {
        write(
            directory,
            if rule.allow {
                "devices.allow"
            } else {
                "devices.deny"
            },
            &rule.to_string(),
        )?;
    }
    Ok(())
}

/// The list as given, then what every container gets. What comes before the last rule for
/// everything has no effect and is left out.
fn rules(wanted: &[LinuxDeviceCgroup]) -> Result<Vec<Rule>, ResourceError> {
    let mut rules = Vec::with_capacity(wanted.len() + ALWAYS.len());
    for one in wanted {
        let rule = Rule::try_from(one)?;
        if rule.is_for_everything() {
            rules.clear();
            if !rule.allow {
                continue;
            }
        }
        rules.push(rule);
    }
    rules.extend(ALWAYS.iter().map(|(kind, major, minor, access)| Rule {
        allow: true,
        kind: *kind,
        major: *major,
        minor: *minor,
        read: access.contains('r'),
        write: access.contains('w'),
        mknod: access.contains('m'),
    }));
    if rules
        .first()
        .is_some_and(|rule| rule.allow && rule.is_for_everything())
    {
        // Denials after it still count; further permissions say nothing new.
        rules.retain(|rule| !rule.allow || rule.is_for_everything());
    }
    Ok(rules)
}

impl Rule {
    fn is_for_everything(&self) -> bool {
        let all = self.read && self.write && self.mknod;
        self.kind == Node::Any && self.major.is_none() && self.minor.is_none() && all
    }
}

impl TryFrom<&LinuxDeviceCgroup> for Rule {
    type Error = ResourceError;

    fn try_from(one: &LinuxDeviceCgroup) -> Result<Self, ResourceError> {
        let number = |value: Option<i64>| match value {
            None | Some(-1) => Ok(None),
            Some(value) => u32::try_from(value)
                .map(Some)
                .map_err(|_| ResourceError::Devices(format!("{value} is no device number"))),
        };
        let kind = match one.typ().unwrap_or(LinuxDeviceType::A) {
            LinuxDeviceType::A => Node::Any,
            LinuxDeviceType::B => Node::Block,
            LinuxDeviceType::C | LinuxDeviceType::U => Node::Character,
            LinuxDeviceType::P => {
                return Err(ResourceError::Devices(
                    "type p cannot be restricted".to_owned(),
                ));
            }
        };
        let access = one
            .access()
            .as_deref()
            .filter(|access| !access.is_empty())
            .unwrap_or("rwm");
        if let Some(other) = access.chars().find(|c| !"rwm".contains(*c)) {
            return Err(ResourceError::Devices(format!(
                "access {other:?} is none of r, w and m"
            )));
        }
        let has = |c| access.contains(c);
        let (major, minor) = (number(one.major())?, number(one.minor())?);
        Ok(Self {
            allow: one.allow(),
            kind,
            major,
            minor,
            read: has('r'),
            write: has('w'),
            mknod: has('m'),
        })
    }
}

/// As v1's files take it.
impl std::fmt::Display for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = match self.kind {
            // v1 ignores everything after an "a".
            Node::Any => return f.write_str("a"),
            Node::Block => 'b',
            Node::Character => 'c',
        };
        let number =
            |value: Option<u32>| value.map_or_else(|| "*".to_owned(), |value| value.to_string());
        let letter = |on: bool, letter: &'static str| if on { letter } else { "" };
        let access = [
            letter(self.read, "r"),
            letter(self.write, "w"),
            letter(self.mknod, "m"),
        ]
        .concat();
        write!(
            f,
            "{kind} {}:{} {access}",
            number(self.major),
            number(self.minor)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(json: &str) -> Vec<String> {
        let wanted: Vec<LinuxDeviceCgroup> = serde_json::from_str(json).unwrap();
        rules(&wanted)
            .unwrap()
            .iter()
            .map(|rule| format!("{}{rule}", if rule.allow { '+' } else { '-' }))
            .collect()
    }

    #[test]
    fn dockers_list_keeps_its_own_and_gets_the_usual() {
        let list = of(
            r#"[{"allow":false,"access":"rwm"},{"allow":true,"type":"c","major":10,"minor":229,"access":"rw"}]"#,
        );
        assert_eq!(list[0], "+c 10:229 rw");
        assert!(list.contains(&"+c 1:3 rwm".to_owned()));
        assert!(!list.contains(&"-a".to_owned()));
    }

    #[test]
    fn privileged_is_one_rule() {
        assert_eq!(
            of(r#"[{"allow":false},{"allow":true,"access":"rwm"}]"#),
            ["+a"]
        );
    }
}
