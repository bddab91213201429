//! Deliveries to hooks.

use deployd_core::Name;
use deployd_core::delivery::{Captured, DeliveryId, DeliveryStatus, HookDelivery};

use super::Client;
use crate::args::HookListArgs;
use crate::error::CliError;

impl Client {
    /// Deliveries of a hook, newest first.
    pub async fn deliveries(&self, args: &HookListArgs) -> Result<Vec<HookDelivery>, CliError> {
        let status = args.status.map(|status| match status {
            DeliveryStatus::Pending => "pending",
            DeliveryStatus::Read => "read",
            DeliveryStatus::Dead => "dead",
        });
        let asked = self
            .get(&["v1", "hooks", args.hook.as_str(), "deliveries"])?
            .query("status", status)
            .query("after", args.after.as_ref())
            .query("limit", Some(args.limit));
        self.ask(asked).await
    }

    /// A delivery.
    pub async fn delivery(&self, hook: &Name, id: &DeliveryId) -> Result<HookDelivery, CliError> {
        self.ask(self.get(&["v1", "hooks", hook.as_str(), "deliveries", &id.0])?).await
    }

    /// A delivery as it arrived.
    pub async fn captured(&self, hook: &Name, id: &DeliveryId) -> Result<Captured, CliError> {
        let path = ["v1", "hooks", hook.as_str(), "deliveries", &id.0, "captured"];
        self.ask(self.get(&path)?).await
    }

    /// Has a delivery read again.
    pub async fn replay_delivery(
        &self,
        hook: &Name,
        id: &DeliveryId,
    ) -> Result<HookDelivery, CliError> {
        let path = ["v1", "hooks", hook.as_str(), "deliveries", &id.0, "replay"];
        self.ask(self.post(&path)?).await
    }
}
