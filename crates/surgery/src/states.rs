//! The residual streams of a batch that wait to be continued, and what runs next: [`States`].

use std::collections::BTreeMap;

use burn::tensor::Tensor;

use crate::tree::PrefixTree;

/// A residual stream that some interventions still wait for.
struct State {
    resid: Tensor<3>,
    /// Actions that have not been run on it, each with the node it leads to.
    waiting: Vec<(usize, usize)>,
}

impl State {
    /// Where an action leads to that it waits for.
    fn child(&self, action: usize) -> Option<usize> {
        self.waiting.iter().find(|(other, _)| *other == action).map(|(_, child)| *child)
    }

    /// Whether it is held on when one of its actions has run.
    fn stays(&self) -> bool {
        self.waiting.len() > 1
    }
}

/// A state that an action runs on, and the node it leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Taker {
    pub(crate) parent: usize,
    pub(crate) child: usize,
}

/// An action that runs next, and what it runs on.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Next {
    pub(crate) action: usize,
    pub(crate) takers: Vec<Taker>,
}

/// The residual streams that wait to be continued, by their nodes in the prefix tree.
pub(crate) struct States<'a> {
    tree: &'a PrefixTree,
    held: BTreeMap<usize, State>,
}

impl<'a> States<'a> {
    pub(crate) fn new(tree: &'a PrefixTree) -> Self {
        Self { tree, held: BTreeMap::new() }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.held.len()
    }

    /// A stream reaches a node; it is dropped where no intervention goes on from there.
    pub(crate) fn arrive(&mut self, node: usize, resid: Tensor<3>) {
        let waiting = self.tree.nodes[node].next.clone();
        if !waiting.is_empty() {
            self.held.insert(node, State { resid, waiting });
        }
    }

    /// The stream for a child, which leaves with its last child.
    ///
    /// # Panics
    /// When the parent does not wait for it.
    pub(crate) fn leave(&mut self, Taker { parent, child }: Taker) -> Tensor<3> {
        let state = self.held.get_mut(&parent).expect("the parent waits");
        state.waiting.retain(|(_, other)| *other != child);
        if state.waiting.is_empty() {
            return self.held.remove(&parent).expect("the parent waits").resid;
        }
        state.resid.clone()
    }

    /// What runs next where there is room for `room` states more; none where no intervention waits.
    ///
    /// With room, it is the waiting action of the lowest layer, so that states further back catch up and continue together. Without
    /// room, the state furthest along that leaves nothing behind continues, with all that take the same actions, until they end.
    /// If all leave something behind, the one furthest along continues alone.
    pub(crate) fn next(&self, room: usize) -> Option<Next> {
        if room > 0 {
            let waiting = self.held.values().flat_map(|state| &state.waiting);
            let action = waiting.map(|(action, _)| *action).min_by_key(|action| self.tree.rank(*action))?;
            return Some(self.together(action, None, room));
        }
        let furthest = |(node, state): &(&usize, &State)| (!state.stays(), self.tree.nodes[**node].depth);
        let (&node, state) = self.held.iter().max_by_key(furthest)?;
        let action = state.waiting.iter().map(|(action, _)| *action).min_by_key(|action| self.tree.rank(*action))?;
        Some(self.together(action, Some(node), 0))
    }

    /// The action from a node on the way to another one.
    pub(crate) fn on_the_way(&self, node: usize, action: usize, room: usize) -> Next {
        self.together(action, Some(node), room)
    }

    /// An action on all states that wait for it; of those that stay, and so make one state more, on that of `node` and as many others
    /// as there is room for.
    fn together(&self, action: usize, node: Option<usize>, mut room: usize) -> Next {
        let mut takers = Vec::new();
        for (&parent, state) in &self.held {
            let Some(child) = state.child(action) else { continue };
            if state.stays() && node != Some(parent) {
                if room == 0 {
                    continue;
                }
                room -= 1;
            }
            takers.push(Taker { parent, child });
        }
        Next { action, takers }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use stratigraph_core::{Edit, Hook};

    use super::*;
    use crate::tree::ROOT;
    use crate::{Intervention, LayerPlan};

    fn resid() -> Tensor<3> {
        Tensor::zeros([1, 1, 1], &Device::default())
    }

    /// Runs what is next, without a model.
    fn run(states: &mut States, next: &Next) {
        for taker in &next.takers {
            let resid = states.leave(*taker);
            states.arrive(taker.child, resid);
        }
    }

    #[test]
    fn without_room_states_that_leave_nothing_behind_go_on_together() {
        // The clean run; edits in layer 0 and in layer 2 of four.
        let edited = |hook: Hook, layer| LayerPlan::full(4).edit(Edit::zero(hook.at(layer)));
        let edits = [0, 2].into_iter().flat_map(|layer| [Hook::AttnOut, Hook::MlpOut].map(|hook| edited(hook, layer)));
        let tree = PrefixTree::new(&[Intervention::none(4)].into_iter().chain(edits).collect::<Vec<_>>());
        let mut states = States::new(&tree);
        states.arrive(ROOT, resid());
        for edge in tree.way(0) {
            let next = states.on_the_way(edge.parent, edge.action, 0);
            assert_eq!(next.takers.len(), 1);
            run(&mut states, &next);
        }
        assert_eq!(states.len(), 2, "edits are made from the streams before layers 0 and 2");
        for _ in 0..2 {
            let next = states.next(1).unwrap(); // an edit of layer 0
            assert_eq!(next.takers[0].parent, ROOT);
            run(&mut states, &next);
        }
        assert_eq!(states.len(), 3, "the stream before layer 0 is dropped with its last edit");
        // Both go on to the end; the stream before layer 2 is further on and waits.
        for held in [3, 3, 1] {
            let next = states.next(0).unwrap();
            assert_eq!(next.takers.len(), 2, "{next:?}");
            run(&mut states, &next);
            assert_eq!(states.len(), held);
        }
        for (n_takers, held) in [(1, 2), (1, 1), (1, 1), (1, 0)] {
            let next = states.next(0).unwrap();
            assert_eq!(next.takers.len(), n_takers);
            run(&mut states, &next);
            assert_eq!(states.len(), held);
        }
        assert!(states.next(0).is_none() && states.next(1).is_none());
    }
}
