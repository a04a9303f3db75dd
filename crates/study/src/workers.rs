//! A queue of work that several workers share: [`run_workers`], which reports [`WorkerEvent`]s.

use std::collections::VecDeque;
use std::panic::resume_unwind;
use std::sync::{Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;

use crate::Result;

/// What a worker reports.
pub(crate) enum WorkerEvent<T> {
    /// Units of work done since its last report.
    Progress(u64),
    /// The result of one piece.
    Done(T),
}

/// A queue of pieces of work; a free worker takes the next one.
struct Pieces<P>(Mutex<VecDeque<P>>);

impl<P> Pieces<P> {
    fn queue(&self) -> MutexGuard<'_, VecDeque<P>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner) // no change of it can panic halfway
    }

    /// Empties the queue.
    fn close(&self) {
        self.queue().clear();
    }
}

/// Empties the queue when a worker panics.
struct CloseOnPanic<'a, P>(&'a Pieces<P>);

impl<P> Drop for CloseOnPanic<'_, P> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.close();
        }
    }
}

/// Runs `work` on `n_workers` threads, and `take` on the calling thread for each event. `work` is given the worker's
/// index, an iterator over the pieces it takes from the queue, and a function that reports an event. A single worker
/// runs on the calling thread.
///
/// # Errors
/// The first error of `take` or of a worker. No worker begins another piece then; pieces that have begun are finished.
///
/// # Panics
/// When a worker panics, after the others have finished their pieces.
pub(crate) fn run_workers<P: Send, T: Send>(
    n_workers: usize,
    pieces: impl IntoIterator<Item = P>,
    work: impl Fn(usize, &mut dyn Iterator<Item = P>, &mut dyn FnMut(WorkerEvent<T>)) -> Result<()> + Sync,
    mut take: impl FnMut(WorkerEvent<T>) -> Result<()>,
) -> Result<()> {
    let pieces = Pieces(Mutex::new(pieces.into_iter().collect()));
    let mut taken = Ok(());
    let mut handle = |event| {
        if taken.is_ok() {
            taken = take(event).inspect_err(|_| pieces.close());
        }
    };
    let work_as = |worker: usize, report: &mut dyn FnMut(WorkerEvent<T>)| {
        let _guard = CloseOnPanic(&pieces);
        let mut next = std::iter::from_fn(|| pieces.queue().pop_front());
        work(worker, &mut next, report).inspect_err(|_| pieces.close())
    };
    if n_workers == 1 {
        let worked = work_as(0, &mut handle);
        return taken.and(worked);
    }
    let worked = thread::scope(|scope| {
        // A worker waits until its event is handled, so that results do not pile up.
        let (sender, receiver) = mpsc::sync_channel(0);
        let worker = |index: usize| {
            let (sender, work_as) = (sender.clone(), &work_as);
            scope.spawn(move || work_as(index, &mut |event| sender.send(event).expect("the receiver waits for all")))
        };
        let workers: Vec<_> = (0..n_workers).map(worker).collect();
        drop(sender);
        receiver.iter().for_each(&mut handle);
        workers.into_iter().map(|worker| worker.join()).collect::<Vec<_>>()
    });
    let worked = worked.into_iter().map(|joined| joined.unwrap_or_else(|panic| resume_unwind(panic)));
    worked.fold(taken, Result::and)
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::Barrier;

    use super::*;
    use crate::{DeviceError, StudyError};

    /// Runs 100 pieces on some workers; worker 1 calls `end` at its first piece, for which the others wait. Returns the
    /// outcome and the pieces that were done, each with its worker.
    fn shared(n_workers: usize, end: fn() -> Result<()>) -> (Result<()>, Vec<(usize, usize)>) {
        let (barrier, mut done) = (Barrier::new(n_workers), Vec::new());
        let work = |worker: usize, pieces: &mut dyn Iterator<Item = usize>, report: &mut dyn FnMut(WorkerEvent<_>)| {
            for (nth, piece) in pieces.enumerate() {
                if nth == 0 {
                    barrier.wait(); // every worker has a piece
                }
                if worker == 1 {
                    end()?;
                }
                report(WorkerEvent::Done((worker, piece)));
                thread::sleep(std::time::Duration::from_millis(1));
            }
            Ok(())
        };
        let take = |event| {
            if let WorkerEvent::Done(piece) = event {
                done.push(piece);
            }
            Ok(())
        };
        (run_workers(n_workers, 0..100, work, take), done)
    }

    #[test]
    fn every_piece_is_done_once_and_every_worker_does_some() {
        for n_workers in [1, 2, 3] {
            let (outcome, mut done) = shared(n_workers, || Ok(()));
            outcome.unwrap();
            assert!((0..n_workers).all(|worker| done.iter().any(|(by, _)| *by == worker)), "{done:?}");
            done.sort_by_key(|(_, piece)| *piece);
            assert!(done.iter().map(|(_, piece)| *piece).eq(0..100), "{done:?}");
        }
    }

    #[test]
    fn an_error_or_a_panic_of_one_worker_stops_the_others() {
        let (outcome, done) = shared(3, || Err(DeviceError::RemoteNotBuilt.into()));
        assert!(matches!(outcome, Err(StudyError::Device(DeviceError::RemoteNotBuilt))));
        assert!(done.len() < 50, "{} pieces were done after it", done.len());
        let panic = catch_unwind(AssertUnwindSafe(|| shared(3, || panic!("lost"))));
        assert_eq!(*panic.unwrap_err().downcast::<&str>().unwrap(), "lost");
    }

    #[test]
    fn an_error_of_take_stops_the_workers() {
        for n_workers in [1, 3] {
            let work =
                |_: usize, pieces: &mut dyn Iterator<Item = usize>, report: &mut dyn FnMut(WorkerEvent<usize>)| {
                    pieces.for_each(|piece| report(WorkerEvent::Done(piece)));
                    Ok(())
                };
            let mut taken = 0;
            let take = |_: WorkerEvent<usize>| {
                taken += 1;
                if taken == 5 { Err(DeviceError::RemoteNotBuilt.into()) } else { Ok(()) }
            };
            let outcome = run_workers(n_workers, 0..100, work, take);
            assert!(matches!(outcome, Err(StudyError::Device(DeviceError::RemoteNotBuilt))));
            assert_eq!(taken, 5);
        }
    }
}
