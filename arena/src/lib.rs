//! The allocator of a process that lives for a fraction of a millisecond.
//!
//! In: requests. Out: memory from one fixed piece, the next free bytes each
//! time; what does not fit, or is large, comes from the system's allocator.
//! Nothing but the last piece is given back: the process ends, or becomes the
//! engine, before that matters.
#![warn(missing_docs)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::UnsafeCell;
use std::ffi::c_void;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use nix::sys::mman::{MmapAdvise, madvise};

/// A start with a config.json of 30 KB takes a quarter of it. Pages that are
/// not touched cost nothing.
const SIZE: usize = 1 << 20;

/// What is larger is large enough for the kernel to be asked.
const LARGE: usize = SIZE / 4;

/// What a start that ranks nothing gets by with; its pages come by faults.
const FIRST: usize = 48 << 10;

/// How much the kernel is asked for at a time beyond that: pages that are all
/// used cost less in one call than by a fault for each.
const PIECE: usize = 64 << 10;

/// The arena, how much of it is taken, and how much beyond `FIRST` has its
/// pages: one for each process, as its global allocator. All zero at first: one
/// other byte, and the whole would stand in the program's file.
pub struct Arena {
    memory: Memory,
    taken: AtomicUsize,
    brought: AtomicUsize,
}

/// The smallest page of the processors we are built for.
const PAGE: usize = 4096;

#[repr(align(4096))]
struct Memory(UnsafeCell<[u8; SIZE]>);

// SAFETY: the bytes are only handed out, each to one owner, by moving `taken`
// atomically; this type itself never reads or writes them.
unsafe impl Sync for Arena {}

impl Arena {
    /// All of it free.
    #[must_use]
    pub const fn new() -> Arena {
        Arena {
            memory: Memory(UnsafeCell::new([0; SIZE])),
            taken: AtomicUsize::new(0),
            brought: AtomicUsize::new(0),
        }
    }

    /// Where in the arena the piece begins; `None` for the system's.
    fn offset(&self, piece: *mut u8) -> Option<usize> {
        let base = self.memory.0.get().addr();
        piece.addr().checked_sub(base).filter(|at| *at < SIZE)
    }

    /// Moves the end from `from` to `to`, if nobody else did.
    fn end(&self, from: usize, to: usize) -> bool {
        let moved = self.taken.compare_exchange(from, to, Relaxed, Relaxed);
        if to > FIRST + self.brought.load(Relaxed) {
            self.bring(to);
        }
        moved.is_ok()
    }

    /// Has the kernel bring the next pages, up to `to` at least. Where it cannot
    /// (before 5.14), they come by faults as ever.
    #[cold]
    fn bring(&self, to: usize) {
        let from = FIRST + self.brought.load(Relaxed);
        let upto = to.max(from + PIECE).next_multiple_of(PAGE).min(SIZE);
        self.brought.store(upto - FIRST, Relaxed);
        let Some(begin) = NonNull::new(self.memory.0.get().cast::<c_void>()) else {
            return;
        };
        // SAFETY: pages of the arena's own; their contents stay.
        let _ = unsafe {
            madvise(
                begin.byte_add(from),
                upto - from,
                MmapAdvise::MADV_POPULATE_WRITE,
            )
        };
    }
}

impl Default for Arena {
    fn default() -> Arena {
        Arena::new()
    }
}

// SAFETY: pieces never overlap, since each lies between an old and a new value
// of `taken`, which goes back only over the last piece when its owner returns
// or moves it; they are aligned relative to a base that is aligned to 64, and
// larger alignments are the system's.
unsafe impl GlobalAlloc for Arena {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let (size, align) = (layout.size(), layout.align());
        if size > LARGE || align > 64 {
            // SAFETY: the caller's layout is passed on.
            return unsafe { System.alloc(layout) };
        }
        loop {
            let taken = self.taken.load(Relaxed);
            let start = taken.next_multiple_of(align);
            let end = start + size;
            if end > SIZE {
                // SAFETY: the caller's layout is passed on.
                return unsafe { System.alloc(layout) };
            }
            if self.end(taken, end) {
                return self.memory.0.get().cast::<u8>().wrapping_add(start);
            }
        }
    }

    unsafe fn dealloc(&self, piece: *mut u8, layout: Layout) {
        match self.offset(piece) {
            Some(start) => {
                self.end(start + layout.size(), start);
            }
            // SAFETY: it is not ours, so it was the system's.
            None => unsafe { System.dealloc(piece, layout) },
        }
    }

    unsafe fn realloc(&self, piece: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let Some(start) = self.offset(piece) else {
            // SAFETY: it is not ours, so it was the system's.
            return unsafe { System.realloc(piece, layout, size) };
        };
        let fits = start + size <= SIZE && size <= LARGE;
        if fits && self.end(start + layout.size(), start + size) {
            return piece;
        }
        if size <= layout.size() {
            return piece;
        }
        // SAFETY: `size` is the caller's new size for an alignment it uses.
        let layout_now = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        // SAFETY: a fresh piece; GlobalAlloc's caller never asks for nothing.
        let moved = unsafe { self.alloc(layout_now) };
        if !moved.is_null() {
            // SAFETY: both hold at least the old size, and do not overlap.
            unsafe { moved.copy_from_nonoverlapping(piece, layout.size()) };
        }
        moved
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(size: usize) -> Layout {
        Layout::from_size_align(size, 16).unwrap()
    }

    #[test]
    fn a_new_one_is_all_zero_so_that_no_file_holds_it() {
        static ARENA: Arena = Arena::new();
        let start = std::ptr::from_ref(&ARENA).cast::<u8>();
        // SAFETY: all of it is there, and nobody else uses it.
        let bytes = unsafe { std::slice::from_raw_parts(start, size_of::<Arena>()) };
        assert!(bytes.iter().all(|byte| *byte == 0));
    }

    #[test]
    fn pieces_follow_each_other_and_the_last_grows_where_it_is() {
        static ARENA: Arena = Arena::new();
        let arena = &ARENA;
        // SAFETY: pieces are used within their layouts and returned once.
        unsafe {
            let a = arena.alloc(layout(100));
            let b = arena.alloc(layout(100));
            assert_eq!(b.addr() - a.addr(), 112);
            a.write_bytes(7, 100);
            assert_eq!(arena.realloc(b, layout(100), 5_000), b);
            let moved = arena.realloc(a, layout(100), 200);
            assert_ne!(moved, a);
            assert_eq!(std::slice::from_raw_parts(moved, 100), [7; 100]);
            arena.dealloc(moved, layout(200));
            assert_eq!(arena.alloc(layout(8)), moved);
        }
    }

    #[test]
    fn what_does_not_fit_is_the_systems() {
        static ARENA: Arena = Arena::new();
        let arena = &ARENA;
        // SAFETY: pieces are used within their layouts and returned once.
        unsafe {
            let large = arena.alloc(layout(LARGE + 1));
            assert!(!large.is_null() && arena.offset(large).is_none());
            large.write_bytes(1, LARGE + 1);
            arena.dealloc(large, layout(LARGE + 1));
            let mut last = std::ptr::null_mut();
            for _ in 0..5 {
                last = arena.alloc(layout(LARGE));
                last.write_bytes(2, LARGE);
            }
            assert!(arena.offset(last).is_none());
            let grown = arena.realloc(last, layout(LARGE), 2 * LARGE);
            assert_eq!(*grown.add(LARGE - 1), 2);
            arena.dealloc(grown, layout(2 * LARGE));
        }
    }
}
