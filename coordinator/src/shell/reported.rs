//! What nodes report of themselves when they greet: which tables they serve, which program they run.

use aquifer_shared::base::ids::{Hash32, IdentityKey, Name};

use super::hub::Hub;

impl Hub {
    /// A node says which state of its tables it serves, if any.
    pub(super) async fn serves(&mut self, node: &IdentityKey, version: Option<&Name>) {
        let Some(version) = version else {
            self.serving.remove(node);
            return;
        };
        self.serving.insert(*node);
        let before = self.data_versions.insert(*node, version.clone());
        if before.as_ref() != Some(version)
            && let Err(error) = self.store.set_data_version(node, version).await
        {
            tracing::error!(%error, "a data version was not kept");
        }
    }

    /// A node says which program it runs. It is kept: the sum of a node that has left since says it as well.
    pub(super) async fn runs(&mut self, node: &IdentityKey, program: Hash32) {
        let before = self.programs.insert(*node, program);
        if before != Some(program)
            && let Err(error) = self.store.set_program(node, &program).await
        {
            tracing::error!(%error, "the program of a node was not kept");
        }
    }
}
