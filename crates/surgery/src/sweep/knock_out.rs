//! Attention knock-out: sweeps in which queries do not attend to some keys.

use std::ops::RangeInclusive;

use stratigraph_core::{Edit, EditKind, Hook, PairMask, Positions};

use super::Sweep;
use crate::Intervention;

impl Sweep {
    /// `knock_back_5`, `knock_back_3_to_5` and so on: in each layer no query attends to the keys at these distances before it.
    /// Their scores are minus infinity before the softmax, so their attention goes to the other keys; a query always attends to itself.
    ///
    /// ```
    /// use stratigraph_core::ModelShape;
    /// use stratigraph_surgery::{Sweep, SweepContext};
    ///
    /// let sweep = Sweep::knock_out(1..=5);
    /// assert_eq!(sweep.name(), "knock_back_5");
    /// let context = SweepContext::new(ModelShape::new(12, 768, 50_257), 128);
    /// let text = "0..12 | blocks.3.attn.hook_attn_scores mask_distances(1..6)";
    /// assert_eq!(sweep.points(&context)?.interventions[3].to_string(), text);
    /// # Ok::<(), stratigraph_surgery::SurgeryError>(())
    /// ```
    pub fn knock_out(distances: RangeInclusive<usize>) -> Self {
        Self::knock_out_kind(knock_back(&distances), EditKind::MaskDistances(distances))
    }

    /// `knock_back_5_in_3_layers` and so on: the same in each block of `width` neighbouring layers at once.
    pub fn knock_out_range(distances: RangeInclusive<usize>, width: usize) -> Self {
        let name = format!("{}_in_{width}_layers", knock_back(&distances));
        Self::each_block(name, width, move |context, layers| {
            let edits = layers.map(|layer| Edit::mask_distances(layer, distances.clone()));
            Ok(edits.fold(Intervention::none(context.shape.n_layers), Intervention::edit))
        })
    }

    /// In each layer no query attends to the keys at these positions, except its own: a class of tokens is hidden by a
    /// [mask](Positions::mask) of its positions in each window.
    pub fn knock_out_keys(name: impl Into<String>, keys: impl Into<Positions>) -> Self {
        Self::knock_out_kind(name, EditKind::MaskKeys(keys.into()))
    }

    /// In each layer no query attends to the keys that it is paired with.
    pub fn knock_out_pairs(name: impl Into<String>, pairs: PairMask) -> Self {
        Self::knock_out_kind(name, EditKind::MaskPairs(pairs))
    }

    fn knock_out_kind(name: impl Into<String>, kind: EditKind) -> Self {
        Self::each_layer(name, move |_, layer| Ok(Edit::new(Hook::AttnScores.at(layer), kind.clone())))
    }
}

fn knock_back(distances: &RangeInclusive<usize>) -> String {
    match (distances.start(), distances.end()) {
        (1, last) => format!("knock_back_{last}"),
        (first, last) => format!("knock_back_{first}_to_{last}"),
    }
}

#[cfg(test)]
mod tests {
    use stratigraph_core::{AttentionPair, ModelShape};

    use super::*;
    use crate::SweepContext;

    fn texts(sweep: &Sweep) -> Vec<String> {
        let points = sweep.points(&SweepContext::new(ModelShape::new(4, 8, 16), 6)).unwrap();
        points.interventions.iter().map(Intervention::to_string).collect()
    }

    #[test]
    fn sweeps_are_what_their_names_say() {
        let blocks = Sweep::knock_out_range(1..=2, 3);
        assert_eq!(blocks.name(), "knock_back_2_in_3_layers");
        let hook = |layer: usize| format!("blocks.{layer}.attn.hook_attn_scores mask_distances(1..3)");
        let first = format!("0..4 | {} | {} | {}", hook(0), hook(1), hook(2));
        assert_eq!((texts(&blocks).len(), &texts(&blocks)[0]), (2, &first));
        assert_eq!(texts(&Sweep::knock_out_range(1..=2, 1)), texts(&Sweep::knock_out(1..=2)));
        let far = Sweep::knock_out(3..=5);
        assert_eq!(far.name(), "knock_back_3_to_5");
        assert_eq!(texts(&far)[1], "0..4 | blocks.1.attn.hook_attn_scores mask_distances(3..6)");
        let keys = Sweep::knock_out_keys("hide_first", Positions::only([0]));
        assert_eq!(texts(&keys)[1], "0..4 | blocks.1.attn.hook_attn_scores mask_keys(0)");
        let pairs = PairMask::new("one", vec![vec![AttentionPair::new(3, 2)]]);
        let pairs = Sweep::knock_out_pairs("hide_one", pairs);
        assert_eq!(texts(&pairs)[1], "0..4 | blocks.1.attn.hook_attn_scores mask_pairs(one)");
    }

    #[test]
    fn a_block_wider_than_the_model_has_no_point() {
        for width in [0, 5] {
            let sweep = Sweep::knock_out_range(1..=2, width);
            assert!(sweep.points(&SweepContext::new(ModelShape::new(4, 8, 16), 6)).is_err(), "{width}");
        }
    }
}
