//! Plans that a search changes, with sublayers left out: [`Candidate`].

use std::collections::BTreeSet;

use stratigraph_core::{Edit, EditKind, Hook, Positions, Units};

use super::Operator;
use crate::{Intervention, LayerPlan, Result, Step, SurgeryError};

/// What runs in a slot.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Slot {
    step: Step,
    /// Whether what its attention and its MLP write is zeroed.
    zeroed: [bool; 2],
}

/// The hooks of the two sublayers.
const SUBLAYERS: [Hook; 2] = [Hook::AttnOut, Hook::MlpOut];

/// A plan of which some sublayers are zeroed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Candidate {
    slots: Vec<Slot>,
}

impl Candidate {
    /// # Errors
    /// When the intervention has an edit other than a sublayer zeroed at all positions.
    pub(super) fn new(intervention: &Intervention) -> Result<Self> {
        let slot = |step: &Step| Slot { step: step.clone(), zeroed: [false; 2] };
        let mut slots: Vec<_> = intervention.plan().steps().iter().map(slot).collect();
        for edit in intervention.edits() {
            let sublayer = SUBLAYERS.iter().position(|hook| *hook == edit.point().hook).filter(|_| is_plain_zero(edit));
            let slot = slots.get_mut(edit.point().slot);
            let (Some(sublayer), Some(slot)) = (sublayer, slot) else {
                let reason = format!("a search cannot start from the edit `{edit}`: give a plan of layers");
                return Err(SurgeryError::BadSearch { reason });
            };
            slot.zeroed[sublayer] = true;
        }
        Ok(Self { slots })
    }

    pub(super) fn intervention(&self) -> Intervention {
        let plan = LayerPlan::new(self.slots.iter().map(|slot| slot.step.clone()).collect());
        let zeroed = self.slots.iter().enumerate().flat_map(|(slot, it)| {
            let hooks = SUBLAYERS.into_iter().zip(it.zeroed).filter(|(_, zeroed)| *zeroed);
            hooks.map(move |(hook, _)| Edit::zero(hook.at(slot)))
        });
        zeroed.fold(plan.into(), Intervention::edit)
    }

    /// Every candidate that one of the operators makes, each once.
    pub(super) fn changed(&self, operators: &[Operator], longest_block: usize) -> BTreeSet<Candidate> {
        let made = operators.iter().flat_map(|operator| match operator {
            Operator::Delete => self.deleted(),
            Operator::DeleteAttention => self.zeroed(0),
            Operator::DeleteMlp => self.zeroed(1),
            Operator::RepeatBlock => self.repeated(longest_block),
            Operator::Swap => self.swapped(),
        });
        made.filter(|candidate| candidate != self && !candidate.slots.is_empty()).collect()
    }

    /// How many removals some operators can make one after the other, so that something is left.
    pub(super) fn most_removals(&self, operators: &[Operator]) -> usize {
        if operators.contains(&Operator::Delete) {
            return self.slots.len().saturating_sub(1);
        }
        let zeroing = [Operator::DeleteAttention, Operator::DeleteMlp].map(|operator| operators.contains(&operator));
        let layers = self.slots.iter().filter(|slot| matches!(slot.step, Step::Layer(_)));
        let open: usize = layers.map(|slot| (0..2).filter(|&it| zeroing[it] && !slot.zeroed[it]).count()).sum();
        let empties_all = zeroing == [true; 2] && self.slots.iter().all(|slot| matches!(slot.step, Step::Layer(_)));
        open - usize::from(empties_all && open > 0)
    }

    fn with(&self, change: impl FnOnce(&mut Vec<Slot>)) -> Self {
        let mut slots = self.slots.clone();
        change(&mut slots);
        Self { slots }
    }

    fn deleted(&self) -> Vec<Self> {
        (0..self.slots.len()).map(|slot| self.with(|slots| drop(slots.remove(slot)))).collect()
    }

    /// A layer of which both sublayers are zeroed is left out.
    fn zeroed(&self, sublayer: usize) -> Vec<Self> {
        let is_open = |slot: &usize| {
            let Slot { step, zeroed } = &self.slots[*slot];
            matches!(step, Step::Layer(_)) && !zeroed[sublayer]
        };
        let zero = |slot: usize| {
            self.with(|slots| {
                slots[slot].zeroed[sublayer] = true;
                if slots[slot].zeroed == [true; 2] {
                    slots.remove(slot);
                }
            })
        };
        (0..self.slots.len()).filter(is_open).map(zero).collect()
    }

    fn repeated(&self, longest: usize) -> Vec<Self> {
        let n = self.slots.len();
        let blocks = (1..=longest.min(n)).flat_map(|length| (0..=n - length).map(move |start| start..start + length));
        blocks
            .map(|block| {
                self.with(|slots| drop(slots.splice(block.end..block.end, self.slots[block.clone()].to_vec())))
            })
            .collect()
    }

    fn swapped(&self) -> Vec<Self> {
        (1..self.slots.len()).map(|slot| self.with(|slots| slots.swap(slot - 1, slot))).collect()
    }
}

/// Whether an edit zeroes an activation at every position.
fn is_plain_zero(edit: &Edit) -> bool {
    matches!(edit.kind(), EditKind::Zero) && *edit.positions() == Positions::All && *edit.units() == Units::All
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn something_is_left_of_every_plan() {
        let most = |operators: &[Operator]| Candidate::new(&"0..3".parse().unwrap()).unwrap().most_removals(operators);
        assert_eq!(most(&[Operator::Delete, Operator::Swap]), 2);
        assert_eq!([most(&[Operator::DeleteMlp]), most(&[Operator::DeleteMlp, Operator::DeleteAttention])], [3, 5]);
    }

    fn texts(start: &str, operators: &[Operator]) -> Vec<String> {
        let candidate = Candidate::new(&start.parse().unwrap()).unwrap();
        let mut texts: Vec<_> =
            candidate.changed(operators, 2).iter().map(|it| it.intervention().to_string()).collect();
        texts.sort();
        texts
    }

    #[test]
    fn operators_make_each_plan_once() {
        assert_eq!(texts("0..3", &[Operator::Delete]), ["0-1", "0-2", "1-2"]);
        assert_eq!(texts("0-1-1", &[Operator::Delete]), ["0-1", "1-1"]);
        assert_eq!(texts("0..3", &[Operator::Swap]), ["0-2-1", "1-0-2"]);
        assert_eq!(texts("0-1", &[Operator::RepeatBlock]), ["0-0-1", "0-1-0-1", "0-1-1"]);
        assert_eq!(texts("0", &[Operator::Delete]), [""; 0]);
    }

    #[test]
    fn sublayers_go_with_their_layers() {
        let zeroed = "0..3 | blocks.1.hook_mlp_out zero";
        let expected = ["0-1 | blocks.1.hook_mlp_out zero", "0-2", "1-2 | blocks.0.hook_mlp_out zero"];
        assert_eq!(texts(zeroed, &[Operator::Delete]), expected);
        assert!(texts(zeroed, &[Operator::DeleteAttention]).contains(&"0-2".to_owned()), "nothing is left of layer 1");
        let both = "0..3 | blocks.0.hook_attn_out zero | blocks.1.hook_mlp_out zero";
        assert!(texts(zeroed, &[Operator::DeleteAttention]).contains(&both.to_owned()));
        assert_eq!(texts("(0+1)-2", &[Operator::DeleteMlp]), ["(0+1)-2 | blocks.1.hook_mlp_out zero"]);
    }

    #[test]
    fn other_edits_are_no_start() {
        for edit in ["0..3 | blocks.1.hook_mlp_out mean", "0..3 | blocks.1.hook_mlp_out pos=1.. zero"] {
            let refused = Candidate::new(&edit.parse().unwrap()).unwrap_err().to_string();
            assert!(refused.contains("give a plan of layers"), "{refused}");
        }
    }
}
