//! In: device rules. Out: a program that the kernel asks at every open and mknod of a device by a
//! process of the cgroup, and that program attached.
//!
//! The last rule that fits decides, so the program tries them from the last to the first; none
//! fits: denied.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::Path;

use nix::libc;

use super::devices::{Node, Rule};

/// From the kernel's `linux/bpf.h`.
const BPF_PROG_LOAD: i32 = 5;
const BPF_PROG_ATTACH: i32 = 8;
const BPF_PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const BPF_CGROUP_DEVICE: u32 = 6;
/// Others, systemd among them, may have a program of their own there: all must agree.
const BPF_F_ALLOW_MULTI: u32 = 2;
const BLOCK: i32 = 1;
const CHARACTER: i32 = 2;
const MKNOD: i32 = 1;
const READ: i32 = 2;
const WRITE: i32 = 4;

/// One instruction: operation, registers, offset, immediate value.
#[repr(C)]
#[derive(Clone, Copy)]
struct Instruction {
    code: u8,
    registers: u8,
    offset: i16,
    value: i32,
}

/// The head of `union bpf_attr` for BPF_PROG_LOAD; the kernel takes the rest as zero.
#[repr(C)]
struct Load {
    kind: u32,
    count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
}

/// The head of `union bpf_attr` for BPF_PROG_ATTACH.
#[repr(C)]
struct Attach {
    target: u32,
    program: u32,
    kind: u32,
    flags: u32,
}

pub fn attach(cgroup: &Path, rules: &[Rule]) -> io::Result<()> {
    let instructions = program(rules);
    let load = Load {
        kind: BPF_PROG_TYPE_CGROUP_DEVICE,
        count: u32::try_from(instructions.len()).map_err(|_| io::ErrorKind::InvalidInput)?,
        instructions: instructions.as_ptr() as u64,
        license: c"Apache-2.0".as_ptr() as u64,
        log_level: 0,
        log_size: 0,
        log: 0,
        kernel_version: 0,
        flags: 0,
    };
    // SAFETY: both pointers stay valid for the call, and the kernel only reads through them.
    let program = unsafe { OwnedFd::from_raw_fd(bpf(BPF_PROG_LOAD, &load)?) };
    let directory = File::open(cgroup)?;
    let number =
        |fd: i32| u32::try_from(fd).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput));
    let attach = Attach {
        target: number(directory.as_raw_fd())?,
        program: number(program.as_raw_fd())?,
        kind: BPF_CGROUP_DEVICE,
        flags: BPF_F_ALLOW_MULTI,
    };
    bpf(BPF_PROG_ATTACH, &attach).map(drop)
}

fn bpf<T>(command: i32, attribute: &T) -> io::Result<i32> {
    // SAFETY: the attribute is a live, fully initialised struct of the given size.
    let done = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command,
            std::ptr::from_ref(attribute),
            size_of::<T>(),
        )
    };
    if done < 0 {
        return Err(io::Error::last_os_error());
    }
    i32::try_from(done).map_err(|_| io::ErrorKind::InvalidData.into())
}

const fn instruction(
    code: u8,
    destination: u8,
    source: u8,
    offset: i16,
    value: i32,
) -> Instruction {
    Instruction {
        code,
        registers: destination | source << 4,
        offset,
        value,
    }
}

/// Registers: r2 type of node, r3 kind of access, r4 major, r5 minor; r1 is the context.
fn program(rules: &[Rule]) -> Vec<Instruction> {
    let mut out = vec![
        instruction(0x61, 2, 1, 0, 0),      // r2 = context.access_type
        instruction(0xbc, 3, 2, 0, 0),      // r3 = r2
        instruction(0x54, 2, 0, 0, 0xffff), // r2 &= 0xffff
        instruction(0x74, 3, 0, 0, 16),     // r3 >>= 16
        instruction(0x61, 4, 1, 4, 0),      // r4 = context.major
        instruction(0x61, 5, 1, 8, 0),      // r5 = context.minor
    ];
    for rule in rules.iter().rev() {
        let tests = tests(rule);
        // A test that fails jumps behind the rule: over the tests left and the two that answer.
        for (position, test) in tests.iter().enumerate() {
            let mut test = *test;
            if is_jump(test) {
                test.offset = i16::try_from(tests.len() - position - 1 + 2).unwrap_or(0);
            }
            out.push(test);
        }
        out.push(instruction(0xb7, 0, 0, 0, i32::from(rule.allow))); // r0 = answer
        out.push(instruction(0x95, 0, 0, 0, 0)); // exit
        if tests.is_empty() {
            // It fits everything; the kernel refuses programs with parts that are never reached.
            return out;
        }
    }
    out.push(instruction(0xb7, 0, 0, 0, 0));
    out.push(instruction(0x95, 0, 0, 0, 0));
    out
}

fn is_jump(test: Instruction) -> bool {
    test.code & 0x07 == 0x05 && test.code != 0x95
}

fn tests(rule: &Rule) -> Vec<Instruction> {
    let jump_unless_equal = |register, value| instruction(0x55, register, 0, 0, value);
    let mut list = Vec::new();
    match rule.kind {
        Node::Any => {}
        Node::Block => list.push(jump_unless_equal(2, BLOCK)),
        Node::Character => list.push(jump_unless_equal(2, CHARACTER)),
    }
    let mask = [(rule.read, READ), (rule.write, WRITE), (rule.mknod, MKNOD)]
        .into_iter()
        .filter_map(|(on, bit)| on.then_some(bit))
        .fold(0, |all, bit| all | bit);
    if mask != READ | WRITE | MKNOD {
        list.push(instruction(0xbc, 1, 3, 0, 0)); // r1 = r3
        if rule.allow {
            list.push(instruction(0x54, 1, 0, 0, !mask)); // what is wanted beyond the rule
            list.push(jump_unless_equal(1, 0));
        } else {
            list.push(instruction(0x54, 1, 0, 0, mask)); // what is wanted of the denied
            list.push(instruction(0x15, 1, 0, 0, 0)); // jump if nothing
        }
    }
    // Device numbers are 32 bits, immediates signed: the bits are what is compared.
    list.extend(
        rule.major
            .map(|major| jump_unless_equal(4, major.cast_signed())),
    );
    list.extend(
        rule.minor
            .map(|minor| jump_unless_equal(5, minor.cast_signed())),
    );
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_its_tests_and_an_answer() {
        let rule = Rule {
            allow: true,
            kind: Node::Character,
            major: Some(1),
            minor: Some(3),
            read: true,
            write: false,
            mknod: false,
        };
        let all = program(&[rule]);
        // 6 to load, 1 type, 3 access, 2 numbers, 2 answer, 2 default.
        assert_eq!(all.len(), 16);
        // The first jump leads behind the rule.
        assert_eq!(6 + 1 + usize::try_from(all[6].offset).unwrap(), 14);
    }
}
