//! Sweeps that change only some positions: [`Sweep::at_positions`].

use stratigraph_core::{Edit, Positions};

use super::{Sweep, SweepContext, SweepPoints};
use crate::{Intervention, LayerPlan, Result, Step, SurgeryError};

impl Sweep {
    /// The sweep limited to some positions of each window, named after them: `delete_after_first`, `mean_mlp_from_5`,
    /// `swap_at_3..6`. For all positions it is the sweep itself.
    ///
    /// Edits are made at these positions only (of the query, for scores and patterns). The other positions
    /// pass through layers that are left out. For two neighbours `l` and `l + 1` in the other order, the plan is `.. l+1 l l+1 ..`: the
    /// chosen positions skip the second `l + 1`, all others the first.
    ///
    /// Keys are computed at all positions: a query in layer `l` attends to every earlier position's residual stream as it is
    /// when that layer runs.
    ///
    /// ```
    /// use stratigraph_core::ModelShape;
    /// use stratigraph_surgery::{Sweep, SweepContext};
    ///
    /// let context = SweepContext::new(ModelShape::new(4, 8, 16), 6);
    /// let swaps = Sweep::swap().at_positions(1..);
    /// assert_eq!(swaps.name(), "swap_after_first");
    /// let text = "0-2-1..4 | blocks.1.hook_resid_post pos=0 skip | blocks.3.hook_resid_post pos=1.. skip";
    /// assert_eq!(swaps.points(&context)?.interventions[1].to_string(), text);
    /// # Ok::<(), stratigraph_surgery::SurgeryError>(())
    /// ```
    ///
    /// The points of the sweep are an error where its plans cannot be limited ([`lens`](Sweep::lens), blocks that are repeated
    /// or in another order, plans of one's own in another order), or no position is left of an edit.
    pub fn at_positions(self, positions: impl Into<Positions>) -> Self {
        let positions = positions.into();
        if positions == Positions::All {
            return self;
        }
        let name = format!("{}{}", self.name, suffix(&positions));
        Self::new(name, move |context| self.limited(context, &positions))
    }

    /// A sweep that [`at_positions`](Sweep::at_positions) cannot limit.
    pub(super) fn of_whole_windows(self, reason: &'static str) -> Self {
        Self { of_whole_windows: Some(reason), ..self }
    }

    fn limited(&self, context: &SweepContext, positions: &Positions) -> Result<SweepPoints> {
        let cannot = |reason: String| SurgeryError::CannotLimit { sweep: self.name.clone(), reason };
        if let Some(reason) = self.of_whole_windows {
            return Err(cannot(reason.to_owned()));
        }
        let mut points = (self.build)(context)?;
        let limited = points.interventions.iter().map(|intervention| limit(intervention, context, positions));
        points.interventions = limited.collect::<Result<_, _>>().map_err(cannot)?;
        Ok(points)
    }
}

/// The end of the name of a sweep that is limited to positions: `_after_first`, `_from_5`, `_at_3..6`.
fn suffix(positions: &Positions) -> String {
    match positions {
        Positions::From(first) => from_suffix(*first),
        other => format!("_at_{other}"),
    }
}

/// The same for positions from one on.
pub(super) fn from_suffix(first: usize) -> String {
    if first == 1 { "_after_first".to_owned() } else { format!("_from_{first}") }
}

/// An intervention limited to some positions.
fn limit(intervention: &Intervention, context: &SweepContext, positions: &Positions) -> Result<Intervention, String> {
    let n_layers = context.shape.n_layers;
    let whole_layer = |step: &Step| match step {
        Step::Layer(layer) => Some(*layer),
        Step::Parallel(_) => None,
    };
    let layers: Option<Vec<usize>> = intervention.plan().steps().iter().map(whole_layer).collect();
    let in_order = |layers: &[usize]| layers.is_sorted_by(|a, b| a < b) && layers.iter().all(|it| *it < n_layers);
    let base = match layers {
        Some(layers) if in_order(&layers) => without_some(&layers, n_layers, positions),
        Some(layers) => match swapped(&layers, n_layers) {
            Some(_) if context.seq_len == 0 => return Err("it is not known which other positions there are".to_owned()),
            Some(first) => with_swapped(first, context, positions),
            None => return Err(unknown_order(intervention)),
        },
        None => return Err(unknown_order(intervention)),
    };
    let edits = intervention.edits().iter().map(|edit| {
        let both = edit.positions().and(positions);
        let both = both.ok_or_else(|| format!("the edit `{edit}` has a mask of positions already"))?;
        Ok(edit.clone().in_slot(base.slots[edit.point().slot]).with_positions(both))
    });
    edits.collect::<Result<Vec<_>, String>>().map(|edits| edits.into_iter().fold(base.intervention, Intervention::edit))
}

fn unknown_order(intervention: &Intervention) -> String {
    format!(
        "`{}` is neither the model's own order with layers left out, nor two neighbours swapped",
        intervention.plan()
    )
}

/// A plan that is limited to positions, and where each of its slots has gone.
struct Limited {
    intervention: Intervention,
    slots: Vec<usize>,
}

/// Every layer, with some positions passing through these alone.
fn without_some(layers: &[usize], n_layers: usize, positions: &Positions) -> Limited {
    let missing = (0..n_layers).filter(|layer| !layers.contains(layer));
    let skips = missing.map(|layer| Edit::skip_layer(layer).with_positions(positions.clone()));
    Limited { intervention: skips.fold(Intervention::none(n_layers), Intervention::edit), slots: layers.to_vec() }
}

/// The first of two neighbours that are swapped in a plan of all layers.
fn swapped(layers: &[usize], n_layers: usize) -> Option<usize> {
    let first = layers.iter().enumerate().position(|(slot, layer)| slot != *layer)?;
    let mut sorted = layers.to_vec();
    sorted.get(first + 1)?;
    sorted.swap(first, first + 1);
    sorted.into_iter().eq(0..n_layers).then_some(first)
}

/// Layers `first` and `first + 1` swapped at some positions and in their own order at all others.
fn with_swapped(first: usize, context: &SweepContext, positions: &Positions) -> Limited {
    let n_layers = context.shape.n_layers;
    let others = positions.complement(context.seq_len);
    let in_order = (0..n_layers).collect::<Vec<_>>();
    if others == Positions::only([]) {
        let mut swapped = in_order.clone();
        swapped.swap(first, first + 1);
        let plan: LayerPlan = swapped.into_iter().collect();
        return Limited { intervention: plan.into(), slots: in_order };
    }
    let before = Edit::skip_layer(first).with_positions(others);
    let after = Edit::skip_layer(first + 2).with_positions(positions.clone());
    let plan: LayerPlan = (0..first).chain([first + 1, first, first + 1]).chain(first + 2..n_layers).collect();
    let slots = in_order.into_iter().map(|slot| if slot > first + 1 { slot + 1 } else { slot }).collect();
    Limited { intervention: plan.edit(before).edit(after), slots }
}

#[cfg(test)]
mod tests {
    use stratigraph_core::{EditKind, Hook, ModelShape, Sublayer};

    use super::*;

    fn texts(sweep: Sweep) -> Result<Vec<String>> {
        let context = SweepContext::new(ModelShape::new(4, 8, 16).with_heads(2, 1, 4), 6);
        Ok(sweep.points(&context)?.interventions.iter().map(Intervention::to_string).collect())
    }

    #[test]
    fn edits_and_deletions_are_limited_to_the_positions() {
        let mlp = texts(Sweep::sublayers(Sublayer::Mlp, EditKind::Zero).at_positions(2..)).unwrap();
        assert_eq!(mlp[3], "0..4 | blocks.3.hook_mlp_out pos=2.. zero");
        assert_eq!(texts(Sweep::delete_at(1..)).unwrap()[2], "0..4 | blocks.2.hook_resid_post pos=1.. skip");
        assert_eq!(texts(Sweep::delete_at(0..)).unwrap(), texts(Sweep::delete()).unwrap());
        let two = Sweep::over("two", "first", [("0".to_owned(), 0)], |context, &first| {
            Ok(context.full().delete_range(first..first + 2)?.edit(Edit::zero(Hook::MlpOut.at(1)).with_positions(1..4)))
        });
        let limited = two.at_positions(3..6);
        assert_eq!(limited.name(), "two_at_3..6");
        let text = "0..4 | blocks.0.hook_resid_post pos=3..6 skip | blocks.1.hook_resid_post pos=3..6 skip \
                    | blocks.3.hook_mlp_out pos=3 zero";
        assert_eq!(texts(limited).unwrap(), [text]);
    }

    #[test]
    fn swaps_run_the_second_layer_before_and_after_the_first() {
        let swaps = texts(Sweep::swap_at(Positions::only([1, 4]))).unwrap();
        let text = "1-0..4 | blocks.0.hook_resid_post pos=0,2,3,5 skip | blocks.2.hook_resid_post pos=1,4 skip";
        assert_eq!(swaps[0], text);
        assert_eq!(swaps.len(), 3);
        assert_eq!(texts(Sweep::swap_at(Positions::only(0..6))).unwrap(), texts(Sweep::swap()).unwrap());
        let unknown = Sweep::swap_at(1..).points(&SweepContext::new(ModelShape::new(4, 8, 16), 0));
        assert!(unknown.unwrap_err().to_string().contains("which other positions there are"));
        // An edit stays with its layer: layer 2 at the chosen positions, and layer 3 after the swap.
        let edited = Sweep::over("edited", "slot", [1, 3].map(|slot| (slot.to_string(), slot)), |context, &slot| {
            Ok(context.full().swap(1, 2)?.edit(Edit::zero(Hook::MlpOut.at(slot))))
        });
        let edited = texts(edited.at_positions(1..)).unwrap();
        assert!(edited[0].ends_with("| blocks.1.hook_mlp_out pos=1.. zero"), "{}", edited[0]);
        assert!(edited[1].ends_with("| blocks.4.hook_mlp_out pos=1.. zero"), "{}", edited[1]);
    }

    #[test]
    fn what_cannot_be_limited_is_an_error_that_says_so() {
        let refused = |sweep: Sweep| texts(sweep).unwrap_err().to_string();
        assert_eq!(
            refused(Sweep::lens().at_positions(1..)),
            "the sweep lens cannot be limited to positions: it reads every position after the same layer"
        );
        let repeat = refused(Sweep::repeat(2).at_positions(1..));
        assert!(repeat.starts_with("the sweep repeat_2 cannot be limited to positions: "), "{repeat}");
        let reversed = Sweep::over("reversed", "n", [("3".to_owned(), 3)], |context, &n| context.full().reverse(0..n));
        let reversed = refused(reversed.at_positions(1..));
        assert!(reversed.contains("`2-1-0-3` is neither the model's own order"), "{reversed}");
        let beyond = Sweep::over("beyond", "n", [("5".to_owned(), 5)], |_, &n| Ok(LayerPlan::full(n)));
        assert!(texts(beyond.at_positions(1..)).is_err());
        let masked = Sweep::each_layer("masked", |_, layer| {
            let mask = Positions::mask("some", vec![vec![true; 6]]);
            Ok(Edit::zero(Hook::MlpOut.at(layer)).with_positions(mask))
        });
        assert!(refused(masked.at_positions(1..)).contains("has a mask of positions already"));
    }
}
