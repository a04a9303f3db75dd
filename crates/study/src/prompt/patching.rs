//! Which activations of a prompt restore its answer in the run of another one: [`add`].

use stratigraph_core::Hook;
use stratigraph_profile::prompt::{PatchingMaps, PromptReading};

use super::{PromptStudy, answers};
use crate::measurements::{ActivationPatching, EncodedPairs, PatchDirection, TokenPair};
use crate::{Result, Study};

/// Adds the maps of the measurement `patching`, of this pair alone and from this prompt into the other one, where there is another
/// one.
pub(super) fn add(study: &PromptStudy, reading: &mut PromptReading) -> Result<()> {
    let Some(corrupted) = &study.corrupted else { return Ok(()) };
    let tokens = answers::tokens(study)?;
    let offered = study.model.hooks();
    let hooks =
        [Hook::ResidPre, Hook::AttnOut, Hook::MlpOut, Hook::Z].into_iter().filter(|&hook| offered.contains(hook));
    let pair = TokenPair::new(study.prompt.ids().to_vec(), corrupted.clone(), tokens[0], tokens[1]);
    let patching = ActivationPatching::new(EncodedPairs::new(vec![pair])?)
        .with_directions([PatchDirection::Denoise])
        .with_hooks(hooks);
    let findings = Study::new(study.model).with_budget(study.budget).add(patching).run(&study.prompt)?;
    let value = |name: &str| Ok::<_, crate::StudyError>(findings.value(name)?.mean);
    let differences = [value("patch_clean_logit_difference")?, value("patch_corrupted_logit_difference")?];
    let maps = PatchingMaps::new(corrupted.clone(), tokens, differences);
    let found = findings.matrices().iter().filter(|(name, _)| name.starts_with("patch_"));
    reading.patching = Some(found.fold(maps, |maps, (name, map)| maps.with_map(name, map.clone())));
    Ok(())
}
