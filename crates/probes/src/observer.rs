//! A measure of activations over a whole corpus: [`Observer`], and [`observe`] to run some.

use std::ops::Range;

use burn::tensor::Tensor;
use stratigraph_core::{CoreError, ResidualModel, Tap, Taps, TokenWindows, forward};

/// A tap that is told which windows it sees, and reduces what it sees at once: it keeps numbers, not activations.
pub trait Observer: Tap {
    /// The next run is of these windows of the corpus.
    fn begin(&mut self, sequences: Range<usize>);

    /// The run has ended with this residual stream, `[batch, pos, d_model]`.
    fn end(&mut self, _resid: &Tensor<3>) {}
}

/// Runs the model once over the corpus, a batch after the other, for all `observers` together; `done` hears how many
/// windows have been run.
///
/// # Errors
/// When the windows do not fit the model, or it lacks a hook that an observer wants.
pub fn observe(
    model: &dyn ResidualModel,
    windows: &TokenWindows,
    batch: usize,
    observers: &mut [&mut dyn Observer],
    mut done: impl FnMut(usize),
) -> Result<(), CoreError> {
    windows.check(model)?;
    let device = model.device();
    for start in (0..windows.n_sequences()).step_by(batch.max(1)) {
        let sequences = start..(start + batch.max(1)).min(windows.n_sequences());
        observers.iter_mut().for_each(|observer| observer.begin(sequences.clone()));
        let mut taps = Taps::new(observers.iter_mut().map(|observer| &mut **observer as &mut dyn Tap));
        let resid = forward(model, windows.batch(sequences.clone(), &device), &mut taps)?;
        observers.iter_mut().for_each(|observer| observer.end(&resid));
        done(sequences.end);
    }
    Ok(())
}
