//! The memory of one call.
//!
//! The host makes an instance for every call and drops it with all its memory.
//! So what a call frees need not be found again: a short call takes its memory
//! from one block, one piece after the other, which is several times as quick
//! as looking for a piece that fits, and asks the host for no further memory.
//! What does not fit is the ordinary allocator's business, so nothing is bounded
//! by this.
#![allow(unsafe_code, reason = "allocators are")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::{Cell, UnsafeCell};
use std::ptr;

/// Enough for documents of some ten KiB. It is zero until it is written, so what
/// is not used costs nothing.
const BYTES: usize = 256 * 1024;
/// What the block's own place is good for.
const ALIGN: usize = 16;

#[repr(align(16))]
struct Block(UnsafeCell<[u8; BYTES]>);

/// One block, and how much of it is given away.
pub(super) struct Arena {
    block: Block,
    used: Cell<usize>,
}

// SAFETY: there is one thread only.
#[cfg(all(target_family = "wasm", not(target_feature = "atomics")))]
unsafe impl Sync for Arena {}

impl Arena {
    pub(super) const fn new() -> Self {
        Self { block: Block(UnsafeCell::new([0; BYTES])), used: Cell::new(0) }
    }

    /// Where in the block this is; more than [`BYTES`] if it is elsewhere.
    fn position(&self, pointer: *mut u8) -> usize {
        pointer.addr().wrapping_sub(self.block.0.get().addr())
    }

    /// Whether this is the piece that was given away last.
    fn is_last(&self, position: usize, layout: Layout) -> bool {
        position + layout.size() == self.used.get()
    }
}

// SAFETY: pieces of the block never overlap: each begins where all those before
// it end, and `used` goes back only over the last one, when that is given back.
// They are as aligned as asked for, because the block is aligned to ALIGN, and
// whoever asks for more gets none of it. What is outside of the block came from
// System, and goes back to it.
unsafe impl GlobalAlloc for Arena {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let start = self.used.get().next_multiple_of(layout.align());
        // Neither overflows: a layout is at most half of all addresses.
        let end = start + layout.size();
        if layout.align() > ALIGN || end > BYTES {
            // SAFETY: the caller's promise about the layout.
            return unsafe { System.alloc(layout) };
        }
        self.used.set(end);
        // SAFETY: inside of the block, or just behind it for a piece of nothing.
        unsafe { self.block.0.get().cast::<u8>().add(start) }
    }

    #[inline]
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        let position = self.position(pointer);
        if position >= BYTES {
            // SAFETY: it is from there.
            unsafe { System.dealloc(pointer, layout) }
        } else if self.is_last(position, layout) {
            self.used.set(position);
        }
    }

    #[inline]
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let position = self.position(pointer);
        if position >= BYTES {
            // SAFETY: it is from there.
            return unsafe { System.realloc(pointer, layout, size) };
        }
        if self.is_last(position, layout) && size <= BYTES - position {
            // Texts that grow are mostly the last piece, and stay where they are.
            self.used.set(position + size);
            return pointer;
        }
        if size <= layout.size() {
            return pointer;
        }
        // SAFETY: the caller's promise about the size; the old piece is shorter
        // than the new one, and they do not overlap.
        unsafe {
            let new = self.alloc(Layout::from_size_align_unchecked(size, layout.align()));
            if !new.is_null() {
                ptr::copy_nonoverlapping(pointer, new, layout.size());
            }
            new
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(size: usize, align: usize) -> Layout {
        Layout::from_size_align(size, align).unwrap()
    }

    #[test]
    fn pieces_are_aligned_and_apart() {
        let arena = Box::new(Arena::new());
        // SAFETY: nothing is read, and nothing used after it is given back.
        unsafe {
            let one = arena.alloc(layout(3, 1));
            let two = arena.alloc(layout(8, 8));
            assert!(two.addr() >= one.addr() + 3 && two.addr().is_multiple_of(8));
            arena.dealloc(one, layout(3, 1));
            assert!(arena.alloc(layout(3, 1)).addr() >= two.addr() + 8, "one is not last");
        }
    }

    #[test]
    fn the_last_piece_grows_in_place_and_comes_back() {
        let arena = Box::new(Arena::new());
        // SAFETY: as above; what is read was written, or is the block's zeroes.
        unsafe {
            let text = arena.alloc(layout(8, 1));
            text.write_bytes(b'x', 8);
            let grown = arena.realloc(text, layout(8, 1), 100);
            assert_eq!(grown, text);
            let other = arena.alloc(layout(1, 1));
            let moved = arena.realloc(grown, layout(100, 1), 200);
            assert_ne!(moved, grown);
            assert_eq!(std::slice::from_raw_parts(moved, 8), b"xxxxxxxx");
            arena.dealloc(moved, layout(200, 1));
            assert_eq!(arena.used.get(), arena.position(other) + 1);
        }
    }

    #[test]
    fn what_does_not_fit_is_elsewhere() {
        let arena = Box::new(Arena::new());
        // SAFETY: as above.
        unsafe {
            let large = arena.alloc(layout(BYTES + 1, 1));
            let strict = arena.alloc(layout(64, 64));
            assert!(arena.position(large) >= BYTES && arena.position(strict) >= BYTES);
            arena.dealloc(strict, layout(64, 64));
            let larger = arena.realloc(large, layout(BYTES + 1, 1), BYTES + 2);
            arena.dealloc(larger, layout(BYTES + 2, 1));
            let all = arena.alloc(layout(BYTES, 1));
            assert!(
                arena.position(all) < BYTES && arena.position(arena.alloc(layout(1, 1))) >= BYTES
            );
        }
    }
}
