//! A measure of activations over a whole corpus: [`Observer`], and [`observe`], which runs several together.

use std::ops::Range;

use burn::tensor::Tensor;

use crate::{ResidualModel, Result, RunModel, Tap, Taps, TokenWindows};

/// A tap that knows which windows of a corpus run, and reduces what it sees at once instead of keeping it.
pub trait Observer: Tap {
    /// Announces that the next run is on these windows of the corpus. If it is never called, every run begins with
    /// window 0.
    fn begin(&mut self, _windows: Range<usize>) {}

    /// The run has ended with this residual stream, `[batch, pos, d_model]`.
    ///
    /// # Errors
    /// An error ends the measurement.
    fn end(&mut self, _resid: &Tensor<3>) -> Result<()> {
        Ok(())
    }
}

/// Runs the model over the corpus in batches of `batch` windows, once for all `observers`; `done` is called with the number
/// of windows that have run.
///
/// # Errors
/// When the windows do not fit the model, it lacks a hook that an observer wants, or an observer fails.
pub fn observe<M: ResidualModel + ?Sized>(
    model: &M,
    windows: &TokenWindows,
    batch: usize,
    observers: &mut [&mut dyn Observer],
    mut done: impl FnMut(usize),
) -> Result<()> {
    windows.check(model)?;
    let (device, batch) = (model.device(), batch.max(1));
    for start in (0..windows.n_sequences()).step_by(batch) {
        let range = start..(start + batch).min(windows.n_sequences());
        observers.iter_mut().for_each(|observer| observer.begin(range.clone()));
        let mut taps = Taps::new(observers.iter_mut().map(|observer| &mut **observer as &mut dyn Tap));
        let resid = model.forward(windows.batch(range.clone(), &device), &mut taps)?;
        observers.iter_mut().try_for_each(|observer| observer.end(&resid))?;
        done(range.end);
    }
    Ok(())
}
