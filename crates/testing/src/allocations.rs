//! How much memory is asked for at once: [`Watching`], an allocator that remembers, and [`largest_allocation`].

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static LARGEST: Cell<usize> = const { Cell::new(0) };
}

/// The system's allocator, which remembers the largest allocation that each thread has asked for. A test binary sets it as its
/// `#[global_allocator]`.
pub struct Watching;

fn remember(size: usize) {
    let _ = LARGEST.try_with(|largest| largest.set(largest.get().max(size)));
}

// SAFETY: every call goes to the system's allocator as it came.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Watching {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        remember(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        remember(size);
        unsafe { System.realloc(pointer, layout, size) }
    }
}

/// The largest number of bytes that this thread asks for at once while it runs something; 0 in a test binary without
/// [`Watching`].
pub fn largest_allocation<T>(run: impl FnOnce() -> T) -> (T, usize) {
    let outer = LARGEST.replace(0);
    let result = run();
    let largest = LARGEST.get();
    LARGEST.set(outer.max(largest));
    (result, largest)
}
