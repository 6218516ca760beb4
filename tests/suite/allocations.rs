//! Counts and measures allocations of one thread. The allocator is the system's, with a counter.

#![allow(unsafe_code, reason = "a global allocator is an unsafe trait")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

struct Counting;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
    /// The largest one since it was set to 0, in bytes.
    static LARGEST: Cell<usize> = const { Cell::new(0) };
    /// Bytes that this thread took and did not give back; below 0 if it gives back what others took.
    static LIVE: Cell<i64> = const { Cell::new(0) };
    static LIVE_MAX: Cell<i64> = const { Cell::new(0) };
}

fn count(size: usize) {
    // A thread that is ending has no counter any more.
    let _ = COUNT.try_with(|count| count.set(count.get() + 1));
    let _ = LARGEST.try_with(|largest| largest.set(largest.get().max(size)));
    live(size, 0);
}

fn live(more: usize, less: usize) {
    let change = i64::try_from(more).unwrap_or(i64::MAX / 4) - i64::try_from(less).unwrap_or(i64::MAX / 4);
    let _ = LIVE.try_with(|live| {
        live.set(live.get() + change);
        let _ = LIVE_MAX.try_with(|most| most.set(most.get().max(live.get())));
    });
}

// SAFETY: every call goes on to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        live(0, layout.size());
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller's promise.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        live(0, layout.size());
        count(size);
        // SAFETY: the caller's promise.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What `work` returns, and how many allocations this thread made in it.
pub(crate) fn during<T>(work: impl FnOnce() -> T) -> (T, u64) {
    let before = COUNT.get();
    let value = work();
    (value, COUNT.get() - before)
}

/// How much memory work took, in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Memory {
    /// In one piece.
    pub(crate) largest: usize,
    /// In all at the same time.
    pub(crate) peak: usize,
}

/// What `work` returns, and how much memory this thread took in it.
pub(crate) fn memory_during<T>(work: impl FnOnce() -> T) -> (T, Memory) {
    let before = LIVE.get();
    LARGEST.set(0);
    LIVE_MAX.set(before);
    let value = work();
    let peak = usize::try_from(LIVE_MAX.get() - before).expect("a peak is no less than where it began");
    (value, Memory { largest: LARGEST.get(), peak })
}

#[test]
fn memory_is_measured() {
    let (kept, memory) = memory_during(|| {
        drop(std::hint::black_box(vec![1_u8; 10_000]));
        std::hint::black_box(vec![1_u8; 6_000])
    });
    assert_eq!((kept.len(), memory.largest, memory.peak), (6_000, 10_000, 10_000));
    let (_, memory) = memory_during(|| (vec![1_u8; 100], vec![1_u8; 50]));
    assert_eq!((memory.largest, memory.peak), (100, 150));
}

#[test]
fn an_allocation_is_counted() {
    let (boxed, count) = during(|| std::hint::black_box(Box::new(7)));
    assert_eq!((*boxed, count), (7, 1));
    assert_eq!(during(|| std::hint::black_box(7)), (7, 0));
}
