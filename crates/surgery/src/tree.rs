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
}
