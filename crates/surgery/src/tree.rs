//! The prefix tree of many plans: [`PlanTree`]. Each node is a distinct list of first steps, computed once.

use crate::{LayerPlan, Step};

/// The index of the root: no step has run yet.
pub(crate) const ROOT: usize = 0;

/// A distinct prefix.
#[derive(Debug, Default)]
pub(crate) struct Node {
    /// How many steps lead here; the slot of the next one.
    pub(crate) depth: usize,
    /// The next steps that some plan takes, and where they lead.
    pub(crate) next: Vec<(Step, usize)>,
    /// The plans that end here.
    pub(crate) plans: Vec<usize>,
    /// How many residual streams a depth-first walk below this node keeps at most, this node's own included.
    pub(crate) keeps: usize,
}

/// All prefixes of a list of plans.
#[derive(Debug)]
pub(crate) struct PlanTree {
    pub(crate) nodes: Vec<Node>,
}

impl PlanTree {
    pub(crate) fn new(plans: &[LayerPlan]) -> Self {
        let mut tree = Self { nodes: vec![Node::default()] };
        for (index, plan) in plans.iter().enumerate() {
            let mut node = ROOT;
            for step in plan.steps() {
                node = tree.child(node, step);
            }
            tree.nodes[node].plans.push(index);
        }
        tree.order_walk();
        tree
    }

    /// How many steps are run in all.
    pub(crate) fn n_steps(&self) -> usize {
        self.nodes.len() - 1
    }

    fn child(&mut self, node: usize, step: &Step) -> usize {
        if let Some((_, child)) = self.nodes[node].next.iter().find(|(other, _)| other == step) {
            return *child;
        }
        let child = self.nodes.len();
        let depth = self.nodes[node].depth + 1;
        self.nodes.push(Node { depth, ..Node::default() });
        self.nodes[node].next.push((step.clone(), child));
        child
    }

    /// Sorts next steps so that the branch which keeps most comes last, when its parent is no longer needed, and
    /// counts what a depth-first walk keeps. Children have larger indices than their parents.
    fn order_walk(&mut self) {
        for index in (0..self.nodes.len()).rev() {
            let mut next = std::mem::take(&mut self.nodes[index].next);
            next.sort_by_key(|(_, child)| self.nodes[*child].keeps);
            let last = next.len().saturating_sub(1);
            let beside = |i: usize| usize::from(i < last); // the parent stays while a branch is not the last
            let keeps = next.iter().enumerate().map(|(i, (_, child))| self.nodes[*child].keeps + beside(i)).max();
            self.nodes[index].keeps = keeps.unwrap_or(1).max(1);
            self.nodes[index].next = next;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sweep;

    #[test]
    fn shared_prefixes_are_one_node() {
        // 0-1-2, 1-2, 0-2, 0-1: the root, 0, 01, 012, 1, 12, 02.
        let tree = PlanTree::new(&[vec![LayerPlan::full(3)], sweep::delete_each(3)].concat());
        assert_eq!(tree.n_steps(), 6);
    }

    #[test]
    fn prefixes_cost_no_step_beyond_the_full_plan() {
        assert_eq!(PlanTree::new(&sweep::prefixes(7)).n_steps(), 7);
    }

    #[test]
    fn a_walk_keeps_few_states() {
        let tree = PlanTree::new(&[sweep::prefixes(64), sweep::delete_each(64), sweep::swap_adjacent(64)].concat());
        assert!(tree.nodes[ROOT].keeps <= 3, "{}", tree.nodes[ROOT].keeps);
    }
}
