//! Sweeps over blocks of neighbouring layers: [`Sweep::blocks`].

use std::collections::BTreeSet;
use std::ops::Range;

use stratigraph_core::{Edit, Hook};
use stratigraph_profile::Axis;
use stratigraph_profile::catalogue::{BlockChange, BlockLengths, BlockSweep};

use super::{Sweep, SweepPoints};
use crate::{Intervention, LayerPlan, Result, Step};

impl Sweep {
    /// `skip_3`, `repeat_block_up_to_4`, `looped_parallel_3_times_2` and so on: something done with each block of neighbouring
    /// layers of one length, or of all lengths up to one. The variants of Sun et al., *Transformer Layers as Painters*
    /// (arXiv 2407.09298), are those of one block in the middle.
    ///
    /// Where layers run again, [`with_scale`](BlockSweep::with_scale) multiplies what their attention and MLP write after the
    /// first run.
    ///
    /// ```
    /// use stratigraph_core::ModelShape;
    /// use stratigraph_profile::catalogue::{BlockChange, BlockLengths, BlockSweep};
    /// use stratigraph_surgery::{Sweep, SweepContext};
    ///
    /// let repeats = Sweep::blocks(BlockSweep::new(BlockChange::RepeatBlock { times: 2 }, BlockLengths::UpTo(3)));
    /// assert_eq!(repeats.name(), "repeat_block_up_to_3");
    /// let points = repeats.points(&SweepContext::new(ModelShape::new(4, 8, 16), 6))?;
    /// assert_eq!(points.interventions[5].name(), "repeat_block_up_to_3 1..3");
    /// assert_eq!(points.interventions[5].to_string(), "0..3-1..4");
    /// # Ok::<(), stratigraph_surgery::SurgeryError>(())
    /// ```
    pub fn blocks(sweep: BlockSweep) -> Self {
        let made = Self::new(sweep.to_string(), move |context| {
            let n_layers = context.shape.n_layers;
            let axis = sweep.axis().of(n_layers);
            let block = |index: usize| match sweep.lengths {
                BlockLengths::Each(length) => index..index + length,
                BlockLengths::UpTo(_) => axis.block(index).unwrap_or_default(),
            };
            let full = context.full();
            let n_points = if sweep.lengths == BlockLengths::Each(0) { 0 } else { axis.len() };
            let changes: Vec<_> = (0..n_points).map(|index| changed(&full, block(index), &sweep)).collect();
            SweepPoints::new(context, [axis], changes)
        });
        match sweep.change {
            BlockChange::Skip => made,
            _ => made.of_whole_windows("every position passes through the layers in their new order"),
        }
    }

    /// `skip_3` and so on: each block of `length` neighbouring layers left out.
    pub fn skip(length: usize) -> Self {
        Self::blocks(BlockSweep::new(BlockChange::Skip, BlockLengths::Each(length)))
    }

    /// `repeat_5` and so on: each block of `length` neighbouring layers with each of its layers run twice in a row,
    /// `l l l+1 l+1 ..`.
    pub fn repeat(length: usize) -> Self {
        Self::blocks(BlockSweep::new(BlockChange::RepeatLayers { times: 2 }, BlockLengths::Each(length)))
    }

    /// `repeat_block_5` and so on: each block of `length` neighbouring layers run twice as a block, `i..j i..j`.
    pub fn repeat_block(length: usize) -> Self {
        Self::blocks(BlockSweep::new(BlockChange::RepeatBlock { times: 2 }, BlockLengths::Each(length)))
    }

    /// `remove_by_NAME`: layers left out in the order of some criterion, none to all of them: a point for each number of layers
    /// that are left out.
    ///
    /// ```
    /// use stratigraph_core::ModelShape;
    /// use stratigraph_surgery::{Sweep, SweepContext};
    ///
    /// let sweep = Sweep::remove_in_order("remove_by_mine", [2, 0]);
    /// let points = sweep.points(&SweepContext::new(ModelShape::new(4, 8, 16), 6))?;
    /// let texts: Vec<_> = points.interventions.iter().map(|it| it.to_string()).collect();
    /// assert_eq!(texts, ["0..4", "0-1-3", "1-3"]);
    /// # Ok::<(), stratigraph_surgery::SurgeryError>(())
    /// ```
    pub fn remove_in_order(name: impl Into<String>, order: impl IntoIterator<Item = usize>) -> Self {
        let order: Vec<usize> = order.into_iter().collect();
        Self::removals(name, (0..=order.len()).map(|n| order[..n].to_vec()).collect())
    }

    /// The layers of each of some lists left out; the point with index `n` is of the list with that index.
    pub fn removals(name: impl Into<String>, removals: Vec<Vec<usize>>) -> Self {
        Self::new(name, move |context| {
            let axis = Axis::counting("layers removed", removals.len());
            let without = |removed: &Vec<usize>| {
                let n_layers = context.shape.n_layers;
                removed.iter().copied().collect::<LayerPlan>().validate(n_layers)?;
                let removed: BTreeSet<usize> = removed.iter().copied().collect();
                Ok((0..n_layers).filter(|layer| !removed.contains(layer)).collect::<LayerPlan>())
            };
            SweepPoints::new(context, [axis], removals.iter().map(without))
        })
    }
}

/// A plan with one block changed.
fn changed(full: &LayerPlan, block: Range<usize>, sweep: &BlockSweep) -> Result<Intervention> {
    let plan = match sweep.change {
        BlockChange::Skip => full.delete_range(block),
        BlockChange::RepeatLayers { times } => full.repeat_layers(block, times),
        BlockChange::RepeatBlock { times } => full.repeat_block(block, times),
        BlockChange::Reverse => full.reverse(block),
        BlockChange::Shuffle { seed } => full.shuffle(block, seed),
        BlockChange::Parallel => full.parallel(block),
        BlockChange::LoopedParallel { times } => {
            let first = block.start;
            full.parallel(block)?.repeat_block(first..first + 1, times)
        }
        _ => full.repeat_middle(block),
    }?;
    Ok(match sweep.scale {
        Some(factor) => plan.with_repeats_scaled(factor),
        None => plan.into(),
    })
}

impl LayerPlan {
    /// With each step in `slots` run `times` times in a row: `l l l+1 l+1` for two.
    ///
    /// # Errors
    /// When the plan does not have all of these slots.
    pub fn repeat_layers(&self, slots: Range<usize>, times: usize) -> Result<Self> {
        self.edit_range(slots, |steps| steps.iter().flat_map(|step| std::iter::repeat_n(step.clone(), times)).collect())
    }

    /// With the middle step of `slots` (of an even number the later one) in place of each of them.
    ///
    /// # Errors
    /// When the plan does not have all of these slots.
    pub fn repeat_middle(&self, slots: Range<usize>) -> Result<Self> {
        self.edit_range(slots, |steps| steps.iter().map(|_| steps[steps.len() / 2].clone()).collect())
    }

    /// An intervention of this plan in which what attention and MLP of a layer write is multiplied by `factor` each time that the
    /// layer runs after its first. Layers side by side are not scaled.
    ///
    /// ```
    /// use stratigraph_surgery::LayerPlan;
    /// let scaled = LayerPlan::full(3).repeat_block(1..2, 2)?.with_repeats_scaled(0.5);
    /// let text = "0-1-1-2 | blocks.2.hook_attn_out scale(0.5) | blocks.2.hook_mlp_out scale(0.5)";
    /// assert_eq!(scaled.to_string(), text);
    /// # Ok::<(), stratigraph_surgery::SurgeryError>(())
    /// ```
    pub fn with_repeats_scaled(self, factor: f64) -> Intervention {
        let mut seen = BTreeSet::new();
        let again = |(slot, step): (usize, &Step)| match step {
            Step::Layer(layer) if !seen.insert(*layer) => Some(slot),
            _ => None,
        };
        let slots: Vec<usize> = self.steps().iter().enumerate().filter_map(again).collect();
        let edits = slots
            .into_iter()
            .flat_map(|slot| [Hook::AttnOut, Hook::MlpOut].map(|hook| Edit::scale(hook.at(slot), factor)));
        edits.fold(self.into(), Intervention::edit)
    }
}

#[cfg(test)]
mod tests {
    use stratigraph_core::ModelShape;
    use stratigraph_profile::catalogue;

    use super::*;
    use crate::SweepContext;

    fn texts(name: &str, n_layers: usize) -> Vec<String> {
        let context = SweepContext::new(ModelShape::new(n_layers, 8, 16), 6);
        let points = Sweep::by_name(name).unwrap().points(&context).unwrap();
        points.interventions.iter().map(Intervention::to_string).collect()
    }

    #[test]
    fn the_catalogue_says_what_runs_at_layer_3_for_blocks_of_two() {
        let entries = catalogue::sweeps().into_iter().filter(|it| it.group == catalogue::BLOCKS);
        let names = entries.map(|entry| entry.name.replace("_b", "_2").replace("_k", "_3").replace("_2lock", "_block"));
        let mut n_checked = 0;
        for name in names.filter(|name| !name.contains("up_to") && !name.contains("shuffle")) {
            assert_eq!(texts(&name, 12)[3], catalogue::find_sweep(&name).unwrap().text, "{name}");
            n_checked += 1;
        }
        assert_eq!(n_checked, 9);
    }

    #[test]
    fn blocks_of_all_lengths_are_those_of_each() {
        for verb in ["skip", "repeat", "repeat_block", "reverse", "shuffle", "parallel", "middle"] {
            let each: Vec<String> = (1..=4).flat_map(|length| texts(&format!("{verb}_{length}"), 4)).collect();
            assert_eq!(texts(&format!("{verb}_up_to_9"), 4), each, "{verb}");
        }
        assert_eq!(texts("skip_up_to_4", 4)[9], "none");
        assert_eq!(texts("shuffle_4_seed_3", 4), [LayerPlan::full(4).shuffle(0..4, 3).unwrap().to_string()]);
        assert_eq!(texts("looped_parallel_2_times_3", 3)[0], "(0+1)-(0+1)-(0+1)-2");
    }

    #[test]
    fn later_runs_of_a_layer_are_scaled() {
        let scaled = texts("repeat_block_2_times_3_scaled_0.5", 3);
        let slots = |text: &str| text.matches("scale(0.5)").count();
        assert_eq!(scaled.iter().map(|text| slots(text)).collect::<Vec<_>>(), [8, 8]);
        assert!(scaled[0].starts_with("0-1-0-1-0..3 | blocks.2.hook_attn_out scale(0.5) | blocks.2.hook_mlp_out"));
    }

    #[test]
    fn layers_that_do_not_exist_are_not_removed() {
        let context = SweepContext::new(ModelShape::new(2, 8, 16), 6);
        assert!(Sweep::remove_in_order("remove_by_mine", [2]).points(&context).is_err());
    }
}
