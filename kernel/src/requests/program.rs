//! What the kernel runs at the end of each request.
//!
//! In: the places in a request, the bounds, a map. Out: the instructions
//! (the kernel's Documentation/bpf/standardization/instruction-set.rst). In C:
//!
//! ```c
//! if (rq->__data_len == 0 || bytes < rq->__data_len || rq->start_time_ns == 0)
//!     return 0;
//! u64 id = rq->bio->bi_blkg->blkcg->css.cgroup->kn->id;
//! if (id == 0)
//!     return 0;
//! s64 took = bpf_ktime_get_ns() - rq->start_time_ns;
//! if (took < 0)
//!     took = 0;
//! u64 *times = bpf_map_lookup_elem(map, &id);
//! if (!times) {
//!     bpf_map_update_elem(map, &id, &zeros, BPF_NOEXIST);
//!     times = bpf_map_lookup_elem(map, &id);
//!     if (!times)
//!         return 0;
//! }
//! times[0] += took;
//! times[1 + bucket(took)] += 1;
//! ```
//!
//! A pointer that is null needs no test: the kernel knows these for its own
//! structs, checks each place against its types, and has a load through null
//! give zero.

use std::os::fd::{AsRawFd, BorrowedFd};

use super::layout::Layout;

/// One instruction: operation, registers, offset, immediate value.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Instruction {
    code: u8,
    registers: u8,
    offset: i16,
    value: i32,
}

/// 64 bits from memory, 32 bits from memory, 64 bits to memory, zeros to it.
const LOAD: u8 = 0x79;
const LOAD_32: u8 = 0x61;
const STORE: u8 = 0x7b;
const STORE_VALUE: u8 = 0x7a;
/// In one go with everybody else who does: `lock xadd`.
const ADD_IN_MEMORY: u8 = 0xdb;
const SET: u8 = 0xbf;
const SET_VALUE: u8 = 0xb7;
const ADD_VALUE: u8 = 0x07;
const SUBTRACT: u8 = 0x1f;
/// The two halves of a map's address.
const MAP: u8 = 0x18;
const CALL: u8 = 0x85;
const EXIT: u8 = 0x95;
const IF_VALUE: u8 = 0x15;
const IF_LESS: u8 = 0xad;
const IF_AT_MOST_VALUE: u8 = 0xb5;
const IF_NOT_NEGATIVE: u8 = 0x75;
const IF_NOT_VALUE: u8 = 0x55;

/// Helpers of the kernel's, from linux/bpf.h.
const LOOK_UP: i32 = 1;
const UPDATE: i32 = 2;
const NOW: i32 = 5;
/// Not in place of what another processor put there meanwhile.
const NO_EXIST: i32 = 1;

/// The pointer to the stack's end; the key lies right below it.
const STACK: u8 = 10;
const KEY: i16 = -8;

/// Where jumps lead.
#[derive(Clone, Copy, PartialEq)]
enum Label {
    Found,
    Count,
    Out,
}

#[derive(Default)]
struct Assembly {
    instructions: Vec<Instruction>,
    jumps: Vec<(usize, Label)>,
    labels: Vec<(Label, usize)>,
}

impl Assembly {
    fn add(&mut self, code: u8, to: u8, from: u8, offset: i16, value: i32) {
        let registers = to | from << 4;
        self.instructions.push(Instruction {
            code,
            registers,
            offset,
            value,
        });
    }

    fn jump(&mut self, code: u8, this: u8, other: u8, value: i32, to: Label) {
        self.jumps.push((self.instructions.len(), to));
        self.add(code, this, other, 0, value);
    }

    fn label(&mut self, label: Label) {
        self.labels.push((label, self.instructions.len()));
    }

    /// Helper `function` on the map and the key, whose address is in r2.
    fn on_key(&mut self, function: i32, map: BorrowedFd<'_>) {
        // The number in a register's place says that it is a descriptor.
        self.add(MAP, 1, 1, 0, map.as_raw_fd());
        self.add(0, 0, 0, 0, 0);
        self.add(SET, 2, STACK, 0, 0);
        self.add(ADD_VALUE, 2, 0, 0, i32::from(KEY));
        self.add(CALL, 0, 0, 0, function);
    }

    /// `None` when a jump leads too far.
    fn linked(mut self) -> Option<Vec<Instruction>> {
        for (at, label) in self.jumps {
            let (_, to) = self.labels.iter().find(|(l, _)| *l == label)?;
            self.instructions[at].offset = i16::try_from(to.checked_sub(at + 1)?).ok()?;
        }
        Some(self.instructions)
    }
}

/// How many numbers a cgroup has in the map: the sum of its times, and a count
/// below each bound and above the last.
pub(super) const fn width(bounds: usize) -> usize {
    bounds + 2
}

/// The program; `bounds` are in nanoseconds, each above the one before.
pub(super) fn program(
    layout: &Layout,
    bounds: &[u32],
    map: BorrowedFd<'_>,
) -> Option<Vec<Instruction>> {
    let mut to = Assembly::default();
    to.add(LOAD, 7, 1, 0, 0); // r7 = the request
    to.add(LOAD, 2, 1, 16, 0); // r2 = bytes done
    to.add(LOAD_32, 3, 7, layout.left, 0);
    to.jump(IF_VALUE, 3, 0, 0, Label::Out);
    to.jump(IF_LESS, 2, 3, 0, Label::Out);
    to.add(LOAD, 8, 7, layout.begin, 0); // r8 = its begin
    to.jump(IF_VALUE, 8, 0, 0, Label::Out);
    for place in &layout.cgroup {
        to.add(LOAD, 7, 7, *place, 0);
    }
    to.jump(IF_VALUE, 7, 0, 0, Label::Out);
    to.add(STORE, STACK, 7, KEY, 0);

    to.add(CALL, 0, 0, 0, NOW);
    to.add(SUBTRACT, 0, 8, 0, 0);
    to.add(SET, 7, 0, 0, 0); // r7 = how long it took
    to.add(IF_NOT_NEGATIVE, 7, 0, 1, 0);
    to.add(SET_VALUE, 7, 0, 0, 0);

    to.on_key(LOOK_UP, map);
    to.jump(IF_NOT_VALUE, 0, 0, 0, Label::Found);
    let zeros = KEY.checked_sub(i16::try_from(8 * width(bounds.len())).ok()?)?;
    for at in (zeros..KEY).step_by(8) {
        to.add(STORE_VALUE, STACK, 0, at, 0);
    }
    to.add(SET, 3, STACK, 0, 0);
    to.add(ADD_VALUE, 3, 0, 0, i32::from(zeros));
    to.add(SET_VALUE, 4, 0, 0, NO_EXIST);
    to.on_key(UPDATE, map);
    to.on_key(LOOK_UP, map);
    to.jump(IF_VALUE, 0, 0, 0, Label::Out);

    to.label(Label::Found); // r0 = its numbers
    to.add(ADD_IN_MEMORY, 0, 7, 0, 0);
    to.add(SET_VALUE, 1, 0, 0, 1);
    to.add(ADD_VALUE, 0, 0, 0, 8);
    for bound in bounds {
        let bound = i32::try_from(*bound).ok()?;
        to.jump(IF_AT_MOST_VALUE, 7, 0, bound, Label::Count);
        to.add(ADD_VALUE, 0, 0, 0, 8);
    }
    to.label(Label::Count);
    to.add(ADD_IN_MEMORY, 0, 1, 0, 0);
    to.label(Label::Out);
    to.add(SET_VALUE, 0, 0, 0, 0);
    to.add(EXIT, 0, 0, 0, 0);
    to.linked()
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    fn layout() -> Layout {
        Layout {
            tracepoint: 1,
            left: 44,
            begin: 80,
            cgroup: vec![56, 72, 0],
        }
    }

    #[test]
    fn jumps_lead_forward_to_their_labels() {
        let nothing = std::fs::File::open("/dev/null").unwrap();
        let all = program(&layout(), &[100, 200], nothing.as_fd()).unwrap();
        let target = |at: usize| at + 1 + usize::try_from(all[at].offset).unwrap();
        let nothing_left = all.iter().position(|i| i.code == IF_VALUE).unwrap();
        assert_eq!(target(nothing_left), all.len() - 2);
        let found = all.iter().position(|i| i.code == IF_NOT_VALUE).unwrap();
        assert_eq!(all[target(found)].code, ADD_IN_MEMORY);
        // Each bound steps over those after it to where it is counted.
        let bounds = all.iter().enumerate();
        let bounds: Vec<usize> = bounds
            .filter(|(_, i)| i.code == IF_AT_MOST_VALUE)
            .map(|(at, _)| target(at))
            .collect();
        assert_eq!(bounds, [all.len() - 3; 2]);
        // Four numbers of eight bytes are cleared below the key.
        let zeros = all.iter().filter(|i| i.code == STORE_VALUE);
        let zeros: Vec<i16> = zeros.map(|i| i.offset).collect();
        assert_eq!(zeros, [-40, -32, -24, -16]);
    }

    #[test]
    fn a_bound_that_is_no_number_of_the_programs_is_refused() {
        let nothing = std::fs::File::open("/dev/null").unwrap();
        let bounds = [1 << 31];
        assert_eq!(program(&layout(), &bounds, nothing.as_fd()), None);
    }
}
