//! The two tokens whose logits are compared: [`tokens`].

use stratigraph_core::{NoTap, RunModel, TokenWindows};

use super::{PromptStudy, cannot};
use crate::Result;

/// The chosen tokens, or the most likely ones after the prompt's last position: see [`PromptStudy::with_token`] and
/// [`PromptStudy::against`].
pub(super) fn tokens(study: &PromptStudy) -> Result<[u32; 2]> {
    let of_prompt = likely(study, study.prompt.ids())?;
    let token = study.token.unwrap_or(of_prompt[0]);
    let of_other = study.corrupted.as_ref().filter(|_| study.against.is_none());
    let of_other = of_other.map(|ids| Ok::<_, crate::StudyError>(likely(study, ids)?[0])).transpose()?;
    let runner_up = of_prompt.iter().copied().find(|&id| id != token);
    let against = study.against.or(of_other.filter(|&id| id != token)).or(runner_up);
    match against {
        Some(against) if against != token => Ok([token, against]),
        _ => Err(cannot(format!("its two tokens are the same one, {token}; choose two different ones"))),
    }
}

/// The two most likely tokens after the last position of a prompt; one in a vocabulary of one.
fn likely(study: &PromptStudy, ids: &[u32]) -> Result<Vec<u32>> {
    let model = study.model;
    let prompt = TokenWindows::new(ids, ids.len())?;
    prompt.check(model)?;
    let resid = model.forward(prompt.batch(0..1, &model.device()), &mut NoTap)?;
    let [_, pos, d_model] = resid.dims();
    let last = resid.narrow(1, pos - 1, 1).reshape([1, d_model]);
    let top = study.readout().top_k(last, model.d_vocab().min(2))?;
    Ok(top[0].iter().map(|token| token.id).collect())
}
