//! Pieces of work shared out among devices: [`share_out`].

use std::collections::VecDeque;
use std::panic::resume_unwind;
use std::sync::{Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;

use crate::Result;

/// What is told of work under way.
pub(crate) enum Heard<T> {
    /// So much has been done since the last time, in multiplications.
    Work(u64),
    /// A piece is done.
    Done(T),
}

/// Pieces of work, which whoever is free takes one after the other.
struct Pieces<P>(Mutex<VecDeque<P>>);

impl<P> Pieces<P> {
    fn queue(&self) -> MutexGuard<'_, VecDeque<P>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner) // nobody leaves it half changed
    }

    /// Leaves nothing to take.
    fn close(&self) {
        self.queue().clear();
    }
}

/// Closes the pieces when whoever works on them panics.
struct CloseOnPanic<'a, P>(&'a Pieces<P>);

impl<P> Drop for CloseOnPanic<'_, P> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.close();
        }
    }
}

/// Has every piece done by one of so many workers, and `take`, on the calling thread, hear of it. `work` is given the worker's
/// number and the pieces that it may take; it does one at a time and tells of each. A single worker is the calling thread.
///
/// # Errors
/// The first of `take` or of a worker: nobody begins another piece then, and what is under way is finished.
///
/// # Panics
/// When a worker does, after the others have finished what was under way.
pub(crate) fn share_out<P: Send, T: Send>(
    n_workers: usize,
    pieces: impl IntoIterator<Item = P>,
    work: impl Fn(usize, &mut dyn Iterator<Item = P>, &mut dyn FnMut(Heard<T>)) -> Result<()> + Sync,
    mut take: impl FnMut(Heard<T>) -> Result<()>,
) -> Result<()> {
    let pieces = Pieces(Mutex::new(pieces.into_iter().collect()));
    let mut taken = Ok(());
    let mut hear = |heard| {
        if taken.is_ok() {
            taken = take(heard).inspect_err(|_| pieces.close());
        }
    };
    let work_as = |worker: usize, hear: &mut dyn FnMut(Heard<T>)| {
        let _guard = CloseOnPanic(&pieces);
        let mut next = std::iter::from_fn(|| pieces.queue().pop_front());
        work(worker, &mut next, hear).inspect_err(|_| pieces.close())
    };
    if n_workers == 1 {
        let worked = work_as(0, &mut hear);
        return taken.and(worked);
    }
    let worked = thread::scope(|scope| {
        // A worker waits until what it told is taken, so that no more is under way than one piece each.
        let (sender, receiver) = mpsc::sync_channel(0);
        let worker = |index: usize| {
            let (sender, work_as) = (sender.clone(), &work_as);
            scope.spawn(move || work_as(index, &mut |heard| sender.send(heard).expect("the receiver waits for all")))
        };
        let workers: Vec<_> = (0..n_workers).map(worker).collect();
        drop(sender);
        receiver.iter().for_each(&mut hear);
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
    use crate::Error;

    /// Shares 100 pieces out among so many, of whom worker 1 ends with `end` at its first piece, which the others wait for.
    /// Gives the outcome and what was done.
    fn shared(n_workers: usize, end: fn() -> Result<()>) -> (Result<()>, Vec<(usize, usize)>) {
        let (barrier, mut done) = (Barrier::new(n_workers), Vec::new());
        let work = |worker: usize, pieces: &mut dyn Iterator<Item = usize>, hear: &mut dyn FnMut(Heard<_>)| {
            for (nth, piece) in pieces.enumerate() {
                if nth == 0 {
                    barrier.wait(); // everybody has a piece
                }
                if worker == 1 {
                    end()?;
                }
                hear(Heard::Done((worker, piece)));
                thread::sleep(std::time::Duration::from_millis(1));
            }
            Ok(())
        };
        let take = |heard| {
            if let Heard::Done(piece) = heard {
                done.push(piece);
            }
            Ok(())
        };
        (share_out(n_workers, 0..100, work, take), done)
    }

    #[test]
    fn every_piece_is_done_once_and_everybody_does_some() {
        for n_workers in [1, 2, 3] {
            let (outcome, mut done) = shared(n_workers, || Ok(()));
            outcome.unwrap();
            assert!((0..n_workers).all(|worker| done.iter().any(|(by, _)| *by == worker)), "{done:?}");
            done.sort_by_key(|(_, piece)| *piece);
            assert!(done.iter().map(|(_, piece)| *piece).eq(0..100), "{done:?}");
        }
    }

    #[test]
    fn an_error_or_a_panic_of_one_ends_the_work_of_all() {
        let (outcome, done) = shared(3, || Err(Error::RemoteNotBuilt));
        assert!(matches!(outcome, Err(Error::RemoteNotBuilt)));
        assert!(done.len() < 50, "{} pieces were done after it", done.len());
        let panic = catch_unwind(AssertUnwindSafe(|| shared(3, || panic!("lost"))));
        assert_eq!(*panic.unwrap_err().downcast::<&str>().unwrap(), "lost");
    }

    #[test]
    fn when_a_piece_cannot_be_taken_the_work_ends() {
        for n_workers in [1, 3] {
            let work = |_: usize, pieces: &mut dyn Iterator<Item = usize>, hear: &mut dyn FnMut(Heard<usize>)| {
                pieces.for_each(|piece| hear(Heard::Done(piece)));
                Ok(())
            };
            let mut taken = 0;
            let take = |_: Heard<usize>| {
                taken += 1;
                if taken == 5 { Err(Error::RemoteNotBuilt) } else { Ok(()) }
            };
            assert!(matches!(share_out(n_workers, 0..100, work, take), Err(Error::RemoteNotBuilt)));
            assert_eq!(taken, 5);
        }
    }
}
