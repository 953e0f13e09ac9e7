//! Which trust mode a study runs in, and what it tolerates, where its file does not say.
//!
//! Secure aggregation from four members on, because it needs a fraction of the noise; below that it cannot be had.

use aquifer_shared::base::limits::GROUP_MIN;
use aquifer_shared::domain::sum::{BrokenRule, NoiseShare, Thresholds, TrustMode, groups};

use super::expand::{ExpandError, value};
use super::study_file::StudyFile;

/// Mode and tolerances of a study.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Trust {
    pub(super) mode: TrustMode,
    /// Members of a group that may be absent; 0 in node-noise.
    pub(super) d_max: u16,
    /// Members of a group that may collude; 0 in node-noise.
    pub(super) c_max: u16,
    /// Members that a release needs.
    pub(super) quorum: u16,
    /// Honest noise shares that are certain in every sum.
    honest: u16,
}

impl Trust {
    /// What each node's noise is a share of.
    pub(super) fn noise_share(self, multiplicity: u16) -> NoiseShare {
        match self.mode {
            TrustMode::NodeNoise => NoiseShare::OWN,
            TrustMode::SharedNoise => NoiseShare {
                honest: self.honest,
                multiplicity,
            },
        }
    }
}

/// The mode that this many members get where the file names none.
pub(super) fn usual_mode(members: usize) -> TrustMode {
    if members < GROUP_MIN {
        TrustMode::NodeNoise
    } else {
        TrustMode::SharedNoise
    }
}

/// Mode and tolerances for this many members.
///
/// # Errors
///
/// Keys that belong to the other mode, too few members, or tolerances that do not fit every group.
pub(super) fn trust(file: &StudyFile, members: usize) -> Result<Trust, ExpandError> {
    match file.trust.unwrap_or(usual_mode(members)) {
        TrustMode::NodeNoise => own(file, members as u16),
        TrustMode::SharedNoise if members < GROUP_MIN => {
            let got = format!("shared-noise with {members} nodes");
            let expected = "4 nodes or more; below that, node-noise";
            Err(value("trust", got, expected))
        }
        TrustMode::SharedNoise => shared(file, members),
    }
}

fn own(file: &StudyFile, members: u16) -> Result<Trust, ExpandError> {
    for (key, stated) in [("d_max", file.d_max), ("c_max", file.c_max)] {
        if let Some(stated) = stated {
            let expected = "left out: in node-noise every other member may collude, and quorum says how many may be \
                            absent";
            return Err(value(key, stated, expected));
        }
    }
    Ok(Trust {
        mode: TrustMode::NodeNoise,
        d_max: 0,
        c_max: 0,
        quorum: file.quorum.unwrap_or(members - members / 4),
        honest: 1,
    })
}

fn shared(file: &StudyFile, members: usize) -> Result<Trust, ExpandError> {
    if let Some(quorum) = file.quorum {
        let expected = "left out: in shared-noise it follows from d_max, the members of a group that may be absent; \
                        state that instead";
        return Err(value("quorum", quorum, expected));
    }
    let sizes: Vec<usize> = groups(members)
        .into_iter()
        .map(|group| group.len())
        .collect();
    let smallest = sizes.iter().copied().min().unwrap_or(members);
    let d_max = file.d_max.unwrap_or(Thresholds::usual_absent(smallest));
    let c_max = file.c_max.unwrap_or(Thresholds::usual_colluders(smallest));
    let (mut honest, mut quorum) = (u16::MAX, 0);
    for size in sizes {
        let group = Thresholds::new(size, d_max, c_max).map_err(BrokenRule::from)?;
        honest = honest.min(group.honest());
        quorum += group.dealers_min() as u16;
    }
    Ok(Trust {
        mode: TrustMode::SharedNoise,
        d_max,
        c_max,
        quorum,
        honest,
    })
}
