//! Independent work run in parallel on a device: [`WorkerPools`].

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use burn::tensor::Device;
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::is_host_device;

/// Divides independent work among the cores of a CPU; on any other device it runs one item after the other.
///
/// Each pool has threads of its own. Tensor operations are short, and many of a CPU backend use one core: with several
/// pools the other cores stay busy between two matrix products.
///
/// ```
/// use stratigraph_core::WorkerPools;
///
/// let pools = WorkerPools::new(2);
/// assert_eq!(pools.map(vec![1, 2, 3], |x| x * x), [1, 4, 9]);
/// ```
#[derive(Debug)]
pub struct WorkerPools {
    /// Empty when there is one pool, which is the calling thread's own.
    pools: Vec<ThreadPool>,
}

impl WorkerPools {
    /// `n_pools` pools, which divide the threads of the calling pool; each has at least one thread. Where threads cannot be
    /// started there is one pool.
    pub fn new(n_pools: usize) -> Self {
        if n_pools <= 1 {
            return Self { pools: Vec::new() };
        }
        let threads = (rayon::current_num_threads() / n_pools).max(1);
        let pool = |_| ThreadPoolBuilder::new().num_threads(threads).build();
        Self { pools: (0..n_pools).map(pool).collect::<Result<_, _>>().unwrap_or_default() }
    }

    /// How many pools suit a device: one for each thread of the calling pool where tensors are in host memory, one elsewhere.
    pub fn n_suited(device: &Device) -> usize {
        if is_host_device(device) { rayon::current_num_threads() } else { 1 }
    }

    /// The pools that suit a device, at most `most`.
    pub fn for_device(device: &Device, most: usize) -> Self {
        Self::new(Self::n_suited(device).min(most))
    }

    /// How many pools there are.
    pub fn n_pools(&self) -> usize {
        self.pools.len().max(1)
    }

    /// Runs `run` on each item, as many at once as there are pools, and gives what it returns in the order of the items. A
    /// single item runs on the calling thread.
    ///
    /// # Panics
    /// When `run` panics.
    pub fn map<I: Send, O: Send>(&self, items: Vec<I>, run: impl Fn(I) -> O + Sync) -> Vec<O> {
        if self.pools.is_empty() || items.len() <= 1 {
            return items.into_iter().map(run).collect();
        }
        let n_items = items.len();
        let items: Vec<_> = items.into_iter().map(|item| Mutex::new(Some(item))).collect();
        let outputs: Vec<_> = (0..n_items).map(|_| Mutex::new(None)).collect();
        let next = AtomicUsize::new(0);
        let work = || {
            while let Some(index) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|&index| index < n_items) {
                let item = items[index].lock().expect("no pool panicked with it").take();
                let output = run(item.expect("each item is taken once"));
                *outputs[index].lock().expect("no pool panicked with it") = Some(output);
            }
        };
        std::thread::scope(|scope| {
            for pool in &self.pools[..self.pools.len().min(n_items)] {
                scope.spawn(|| pool.install(work));
            }
        });
        let output = |slot: Mutex<Option<O>>| slot.into_inner().expect("no pool panicked with it");
        outputs.into_iter().map(|slot| output(slot).expect("every item has run")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_run_side_by_side_and_come_back_in_order() {
        let pools = WorkerPools::new(3);
        let (running, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let squares = pools.map((0..20).collect(), |x: usize| {
            most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            std::thread::sleep(std::time::Duration::from_millis(5));
            running.fetch_sub(1, Ordering::SeqCst);
            x * x
        });
        assert_eq!(squares, (0..20).map(|x| x * x).collect::<Vec<_>>());
        assert!((2..=3).contains(&most.load(Ordering::SeqCst)), "{most:?} at once");
        assert!(WorkerPools::new(0).map(Vec::<u8>::new(), |x| x).is_empty());
    }

    #[test]
    fn lanes_divide_the_threads_of_the_pool() {
        let pool = ThreadPoolBuilder::new().num_threads(6).build().unwrap();
        let threads = pool.install(|| WorkerPools::new(2).map(vec![(); 2], |()| rayon::current_num_threads()));
        assert_eq!(threads, [3, 3]);
    }
}
