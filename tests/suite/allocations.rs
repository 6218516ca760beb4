//! Counts allocations of one thread, and what it has at most. The allocator is the system's, with
//! counters.

#![allow(unsafe_code, reason = "a global allocator is an unsafe trait")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

struct Counting;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
    /// Bytes allocated less bytes given back, and the most that this ever was.
    static BYTES: Cell<[i64; 2]> = const { Cell::new([0, 0]) };
}

fn count(bytes: usize) {
    // A thread that is ending has no counter any more.
    let _ = COUNT.try_with(|count| count.set(count.get() + 1));
    add(bytes as i64);
}

fn add(bytes: i64) {
    let _ = BYTES.try_with(|counter| {
        let [now, most] = counter.get();
        counter.set([now + bytes, most.max(now + bytes)]);
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
        add(-(layout.size() as i64));
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller's promise.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size);
        add(-(layout.size() as i64));
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

/// What `work` returns, and how many bytes this thread had allocated in it at most. What zstd, which is
/// C, takes for itself is not in it.
pub(crate) fn peak_of<T>(work: impl FnOnce() -> T) -> (T, i64) {
    let [before, _] = BYTES.get();
    BYTES.set([before, before]);
    let value = work();
    let [_, most] = BYTES.get();
    (value, most - before)
}

#[test]
fn the_most_bytes_at_a_time_are_counted_and_not_their_sum() {
    let (_, most) = peak_of(|| (0..10).for_each(|_| drop(std::hint::black_box(vec![0_u8; 1_000]))));
    assert_eq!(most, 1_000);
    let (_, most) = peak_of(|| drop(std::hint::black_box([vec![0_u8; 1_000], vec![0_u8; 500]])));
    assert_eq!(most, 1_500);
}

#[test]
fn an_allocation_is_counted() {
    let (boxed, count) = during(|| std::hint::black_box(Box::new(7)));
    assert_eq!((*boxed, count), (7, 1));
    assert_eq!(during(|| std::hint::black_box(7)), (7, 0));
}
