//! Pieces of work shared out among models on several devices: [`share_out`].

use std::collections::VecDeque;
use std::panic::resume_unwind;
use std::sync::{Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;

use stratigraph_core::ResidualModel;

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

/// Has every piece done by one of the models, which are the same on several devices, and `take`, on the calling thread, hear
/// of it. `work` is given a model and the pieces that it may take; it does one at a time and tells of each.
///
/// # Errors
/// The first of `take` or of `work`; what is under way elsewhere is finished and told of before.
pub(crate) fn share_out<P: Send, T: Send>(
    models: &[&dyn ResidualModel],
    pieces: impl IntoIterator<Item = P>,
    work: impl Fn(&dyn ResidualModel, &mut dyn Iterator<Item = P>, &mut dyn FnMut(Heard<T>)) -> Result<()> + Sync,
    mut take: impl FnMut(Heard<T>) -> Result<()>,
) -> Result<()> {
    let pieces = Pieces(Mutex::new(pieces.into_iter().collect()));
    let mut taken = Ok(());
    let mut hear = |heard| {
        if taken.is_ok() {
            taken = take(heard).inspect_err(|_| pieces.close());
        }
    };
    let work_on = |model, hear: &mut dyn FnMut(Heard<T>)| {
        let mut next = std::iter::from_fn(|| pieces.queue().pop_front());
        work(model, &mut next, hear).inspect_err(|_| pieces.close())
    };
    let worked = match models {
        [model] => work_on(*model, &mut hear),
        _ => thread::scope(|scope| {
            let (sender, receiver) = mpsc::channel();
            let worker = |&model| {
                let sender = sender.clone();
                let work_on = &work_on;
                scope
                    .spawn(move || work_on(model, &mut |heard| sender.send(heard).expect("the receiver waits for all")))
            };
            let workers: Vec<_> = models.iter().map(worker).collect();
            drop(sender);
            receiver.iter().for_each(&mut hear);
            workers.into_iter().try_for_each(|worker| worker.join().unwrap_or_else(|panic| resume_unwind(panic)))
        }),
    };
    taken.and(worked)
}
