//! A user's own edit: [`EditFunction`], which is given an [`EditContext`].

use std::fmt;
use std::sync::Arc;

use crate::{Activation, Hook, Result};

/// Where a function of an edit is called.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct EditContext<'a> {
    /// The layer whose weights run.
    pub layer: usize,
    /// The hook.
    pub hook: Hook,
    /// Which window of the corpus each row of the batch is.
    pub windows: &'a [usize],
}

impl<'a> EditContext<'a> {
    pub(crate) fn new(layer: usize, hook: Hook, windows: &'a [usize]) -> Self {
        Self { layer, hook, windows }
    }
}

type Function = dyn Fn(Activation, &EditContext) -> Result<Activation> + Send + Sync;

/// A function from an activation to another of the same shape, known by its id.
#[derive(Clone)]
pub struct EditFunction {
    id: Arc<str>,
    function: Arc<Function>,
}

impl EditFunction {
    /// A function with an id; functions of one id are taken to be equal.
    pub fn new(
        id: &str,
        function: impl Fn(Activation, &EditContext) -> Result<Activation> + Send + Sync + 'static,
    ) -> Self {
        Self { id: id.into(), function: Arc::new(function) }
    }

    /// Its id.
    pub fn id(&self) -> &str {
        &self.id
    }

    pub(crate) fn call(&self, activation: Activation, context: &EditContext) -> Result<Activation> {
        (self.function)(activation, context)
    }
}

impl PartialEq for EditFunction {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl fmt::Debug for EditFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EditFunction({})", self.id)
    }
}
