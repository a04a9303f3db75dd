//! Applies an edit to an activation: [`apply`].

use burn::tensor::{Bool, Tensor, TensorData};

use super::hidden::hidden_keys;
use super::{CorpusValues, EditContext};
use crate::{Activation, CoreError, Edit, EditKind, Positions, Result, Units};

/// The activation after the edit, of the same shape.
///
/// # Errors
/// When the edit's values do not fit, or come from a corpus that this run does not have.
pub(super) fn apply(
    edit: &Edit,
    activation: Activation,
    context: &EditContext,
    corpus: Option<&dyn CorpusValues>,
) -> Result<Activation> {
    let before = activation.dims();
    if let Some(hidden) = hidden_keys(edit, &before, context) {
        let scores = activation.heads(edit.point())?;
        let hidden = hidden.mask(&scores.device()).expand(scores.dims());
        return Ok(scores.mask_fill(hidden, f32::NEG_INFINITY).into());
    }
    let changed = change(edit, activation.clone(), context, corpus)?;
    let after = changed.dims();
    if after != before {
        return Err(CoreError::ShapeChanged { point: edit.point(), before, after });
    }
    select(edit, activation, changed, context)
}

/// The replacement for an activation of shape `dims`, for edits whose result does not depend on the activation.
pub(super) fn replacement(
    edit: &Edit,
    dims: [usize; 3],
    context: &EditContext,
    corpus: Option<&dyn CorpusValues>,
) -> Result<Activation> {
    let values = values_of(edit, context, corpus)?;
    expand(edit, values, &dims)
}

fn change(
    edit: &Edit,
    activation: Activation,
    context: &EditContext,
    corpus: Option<&dyn CorpusValues>,
) -> Result<Activation> {
    let (dims, device) = (activation.dims(), activation.device());
    match edit.kind() {
        EditKind::Zero => Ok(match activation {
            Activation::Wide(x) => x.zeros_like().into(),
            Activation::Heads(x) => x.zeros_like().into(),
        }),
        EditKind::Scale(factor) => Ok(match activation {
            Activation::Wide(x) => (x * *factor).into(),
            Activation::Heads(x) => (x * *factor).into(),
        }),
        EditKind::Add(values) => {
            let values = expand(edit, values.for_windows(context.windows)?.to_device(&device), &dims)?;
            match (activation, values) {
                (Activation::Wide(x), Activation::Wide(y)) => Ok((x + y).into()),
                (Activation::Heads(x), Activation::Heads(y)) => Ok((x + y).into()),
                (x, _) => x.wide(edit.point()).and(Err(other_shape(edit, &dims, &[]))),
            }
        }
        EditKind::Custom(function) => function.call(activation, context),
        _ => expand(edit, values_of(edit, context, corpus)?.to_device(&device), &dims),
    }
}

/// The values with which an edit replaces an activation, of any shape that broadcasts to it.
fn values_of(edit: &Edit, context: &EditContext, corpus: Option<&dyn CorpusValues>) -> Result<Activation> {
    let of_corpus = |values: Option<Activation>| {
        values.ok_or_else(|| CoreError::BadEdit {
            edit: edit.to_string(),
            reason: "its values come from another run, and this run has none; use an executor".to_owned(),
        })
    };
    match edit.kind() {
        EditKind::Patch(values) => values.for_windows(context.windows),
        EditKind::Mean(over) => of_corpus(corpus.and_then(|corpus| corpus.mean(context, *over))),
        EditKind::Resample => of_corpus(corpus.and_then(|corpus| corpus.next_window(context))),
        EditKind::Clean => of_corpus(corpus.and_then(|corpus| corpus.clean(context))),
        kind => unreachable!("{kind:?} puts no values in place"),
    }
}

/// Broadcasts axes of length 1.
fn expand(edit: &Edit, values: Activation, dims: &[usize]) -> Result<Activation> {
    let found = values.dims();
    let fits = found.len() == dims.len() && found.iter().zip(dims).all(|(found, dim)| found == dim || *found == 1);
    if !fits {
        return Err(other_shape(edit, dims, &found));
    }
    Ok(match values {
        Activation::Wide(x) => x.expand([dims[0], dims[1], dims[2]]).into(),
        Activation::Heads(x) => x.expand([dims[0], dims[1], dims[2], dims[3]]).into(),
    })
}

fn other_shape(edit: &Edit, dims: &[usize], found: &[usize]) -> CoreError {
    CoreError::ShapeChanged { point: edit.point(), before: dims.to_vec(), after: found.to_vec() }
}

/// The changed activation at the edit's positions and units, and the original elsewhere.
pub(super) fn select(edit: &Edit, kept: Activation, changed: Activation, context: &EditContext) -> Result<Activation> {
    if *edit.positions() == Positions::All && *edit.units() == Units::All {
        return Ok(changed);
    }
    let (dims, device) = (kept.dims(), kept.device());
    let n_windows = if edit.positions().differ() { dims[0] } else { 1 };
    let (position, unit) = if edit.point().hook.is_square() { (2, 1) } else { (1, 2) };
    let shape = |axis: usize| match axis {
        0 => n_windows,
        axis if axis == position => dims[axis],
        axis if axis == unit && *edit.units() != Units::All => dims[axis],
        _ => 1,
    };
    let shape: Vec<usize> = (0..dims.len()).map(shape).collect();
    let window = |row: usize| context.windows.get(row).copied().unwrap_or(row);
    let chosen = |index: usize| {
        let at = index_of(index, &shape);
        let units = edit.units();
        let position = context.first + at[position];
        edit.positions().contains(window(at[0]), position) && (*units == Units::All || units.contains(at[unit]))
    };
    let chosen: Vec<bool> = (0..shape.iter().product()).map(chosen).collect();
    match (kept, changed) {
        (Activation::Wide(kept), Activation::Wide(changed)) => {
            let mask = Tensor::<3, Bool>::from_data(TensorData::new(chosen, shape), &device);
            Ok(kept.clone().mask_where(mask.expand(kept.dims()), changed).into())
        }
        (Activation::Heads(kept), Activation::Heads(changed)) => {
            let mask = Tensor::<4, Bool>::from_data(TensorData::new(chosen, shape), &device);
            Ok(kept.clone().mask_where(mask.expand(kept.dims()), changed).into())
        }
        (kept, changed) => Err(other_shape(edit, &kept.dims(), &changed.dims())),
    }
}

/// The indices along the axes for a row-major index.
fn index_of(mut index: usize, shape: &[usize]) -> Vec<usize> {
    let mut at = vec![0; shape.len()];
    for (place, dim) in at.iter_mut().zip(shape).rev() {
        *place = index % dim;
        index /= dim;
    }
    at
}
