//! The prefix tree of many interventions: [`PrefixTree`]. Each node is a distinct list of first actions, computed once.

use std::collections::VecDeque;

use stratigraph_core::{Edit, Hook};

use crate::{Intervention, Step};

/// The index of the root: nothing has run yet.
pub(crate) const ROOT: usize = 0;

/// What leads from one residual stream to the next.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Action {
    /// Edits of what the embedding writes.
    Embed(Vec<Edit>),
    /// A step, with the edits of its slot; they are all in slot 0, so that equal ones of several slots are equal.
    Run(Step, Vec<Edit>),
}

impl Action {
    /// Waiting actions run in this order: those of the lowest layer first, so that states further back catch up before any goes
    /// on, and whole layers first among those.
    fn order(&self) -> (Option<usize>, bool, bool) {
        match self {
            Action::Embed(_) => (None, false, false),
            Action::Run(step, edits) => {
                (step.layers().first().copied(), !edits.is_empty(), matches!(step, Step::Parallel(_)))
            }
        }
    }
}

/// A distinct prefix.
#[derive(Debug, Default)]
pub(crate) struct Node {
    /// How many actions lead here.
    pub(crate) depth: usize,
    /// The next actions that some intervention takes, by index, and where they lead.
    pub(crate) next: Vec<(usize, usize)>,
    /// The interventions that end here.
    pub(crate) ends: Vec<usize>,
}

/// An action that is run on the state of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Edge {
    pub(crate) parent: usize,
    pub(crate) action: usize,
}

/// All prefixes of a list of interventions.
#[derive(Debug)]
pub(crate) struct PrefixTree {
    pub(crate) nodes: Vec<Node>,
    /// Each distinct action once.
    actions: Vec<Action>,
    /// The rank of each action among those that wait.
    ranks: Vec<usize>,
}

impl PrefixTree {
    pub(crate) fn new(interventions: &[Intervention]) -> Self {
        let mut tree = Self { nodes: vec![Node::default()], actions: Vec::new(), ranks: Vec::new() };
        for (index, intervention) in interventions.iter().enumerate() {
            let mut node = ROOT;
            for action in actions(intervention) {
                let action = tree.intern(action);
                node = tree.child(node, action);
            }
            tree.nodes[node].ends.push(index);
        }
        let mut sorted: Vec<_> = (0..tree.actions.len()).collect();
        sorted.sort_by_key(|&action| tree.actions[action].order()); // stable: equal ones as they came
        tree.ranks = vec![0; sorted.len()];
        sorted.into_iter().enumerate().for_each(|(rank, action)| tree.ranks[action] = rank);
        tree
    }

    pub(crate) fn action(&self, index: usize) -> &Action {
        &self.actions[index]
    }

    pub(crate) fn rank(&self, action: usize) -> usize {
        self.ranks[action]
    }

    /// How many steps are run in all; edits of the embedding do not count.
    pub(crate) fn n_steps(&self) -> usize {
        let run = |action: usize| matches!(self.actions[action], Action::Run(..));
        self.nodes.iter().flat_map(|node| &node.next).filter(|(action, _)| run(*action)).count()
    }

    /// How many actions the longest intervention has.
    pub(crate) fn depth(&self) -> usize {
        self.nodes.iter().map(|node| node.depth).max().unwrap_or(0)
    }

    /// The path of an intervention from the root to its end.
    pub(crate) fn way(&self, intervention: usize) -> VecDeque<Edge> {
        let mut parents = vec![None; self.nodes.len()];
        for (parent, node) in self.nodes.iter().enumerate() {
            node.next.iter().for_each(|&(action, child)| parents[child] = Some(Edge { parent, action }));
        }
        let end = self.nodes.iter().position(|node| node.ends.contains(&intervention));
        let mut way = VecDeque::new();
        let mut edge = end.and_then(|end| parents[end]);
        while let Some(here) = edge {
            way.push_front(here);
            edge = parents[here.parent];
        }
        way
    }

    fn intern(&mut self, action: Action) -> usize {
        match self.actions.iter().position(|other| *other == action) {
            Some(index) => index,
            None => {
                self.actions.push(action);
                self.actions.len() - 1
            }
        }
    }

    fn child(&mut self, node: usize, action: usize) -> usize {
        if let Some((_, child)) = self.nodes[node].next.iter().find(|(other, _)| *other == action) {
            return *child;
        }
        let child = self.nodes.len();
        let depth = self.nodes[node].depth + 1;
        self.nodes.push(Node { depth, ..Node::default() });
        self.nodes[node].next.push((action, child));
        child
    }
}

/// What an intervention does, in order.
fn actions(intervention: &Intervention) -> impl Iterator<Item = Action> {
    let of_slot = |slot: Option<usize>| -> Vec<Edit> {
        let here = |edit: &&Edit| match edit.point().hook {
            Hook::Embed => slot.is_none(),
            _ => slot == Some(edit.point().slot),
        };
        intervention.edits().iter().filter(here).map(|edit| edit.clone().in_slot(0)).collect()
    };
    let embed = of_slot(None);
    let embed = (!embed.is_empty()).then_some(Action::Embed(embed));
    let run = move |(slot, step): (usize, &Step)| Action::Run(step.clone(), of_slot(Some(slot)));
    embed.into_iter().chain(intervention.plan().steps().iter().enumerate().map(run))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::LayerPlan;

    fn tree(plans: impl IntoIterator<Item = LayerPlan>) -> PrefixTree {
        PrefixTree::new(&plans.into_iter().map(Intervention::from).collect::<Vec<_>>())
    }

    #[test]
    fn shared_prefixes_are_one_node() {
        // 0-1-2, 1-2, 0-2, 0-1: the root, 0, 01, 012, 1, 12, 02.
        let full = LayerPlan::full(3);
        let deletions = (0..3).map(|layer| full.delete(layer).unwrap());
        assert_eq!(tree([full.clone()].into_iter().chain(deletions)).n_steps(), 6);
    }

    #[test]
    fn prefixes_cost_no_step_beyond_the_full_plan() {
        assert_eq!(tree((0..=7).map(LayerPlan::full)).n_steps(), 7);
    }

    #[test]
    fn the_way_of_an_intervention_leads_to_its_end() {
        let full = LayerPlan::full(3);
        let tree = tree([full.clone(), full.delete(1).unwrap(), LayerPlan::full(0)]);
        let layers = |intervention: usize| -> Vec<_> {
            let step = |edge: Edge| match tree.action(edge.action) {
                Action::Run(step, _) => step.layers()[0],
                action => panic!("{action:?}"),
            };
            tree.way(intervention).into_iter().map(step).collect()
        };
        assert_eq!((layers(0), layers(1), layers(2), tree.depth()), (vec![0, 1, 2], vec![0, 2], vec![], 3));
    }

    #[test]
    fn an_edit_is_a_branch_where_it_is_made() {
        // The clean run has 4 steps; an edit in layer 2 runs layers 2 and 3 again; the same edit twice runs once.
        let edited = |layer| LayerPlan::full(4).edit(Edit::zero(Hook::MlpOut.at(layer)));
        let interventions = [Intervention::none(4), edited(2), edited(2), edited(3)];
        assert_eq!(PrefixTree::new(&interventions).n_steps(), 4 + 2 + 1);
        let embedded = Intervention::none(4).edit(Edit::zero(Hook::Embed.at(0)));
        assert_eq!(PrefixTree::new(&[Intervention::none(4), embedded]).n_steps(), 8);
    }
}
