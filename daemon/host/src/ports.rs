//! Core's ports, by the plugins that are loaded.

use async_trait::async_trait;
use deployd_core::Fault;
use deployd_core::config::PluginKind;
use deployd_core::policy::Violation;
use deployd_core::ports::{
    Call, CheckOutcome, CheckRequest, Checks, Decision, Delivery, DriverPlan, DriverRequest,
    Drivers, NotifierRequest, Notifiers, PluginRef, Policies, Progress, Provisioned, Receivers,
    Removal, RenderInput, Strategies, StrategyContext, Telling, TellingStep, Templaters,
};
use serde_json::Value;

use crate::host::{PluginHost, wrong_kind};
use crate::plugin::Exports;

/// The exports of a kind, or the fault that it is of another.
macro_rules! exports {
    ($plugin:expr, $kind:ident) => {
        match &$plugin.exports {
            Exports::$kind(exports) => exports,
            _ => return Err(wrong_kind(&$plugin, PluginKind::$kind)),
        }
    };
}

#[async_trait]
impl Drivers for PluginHost {
    async fn plan(&self, call: Call<'_>, request: &DriverRequest) -> Result<DriverPlan, Fault> {
        let (plugin, mut session) = self.session(call, PluginKind::Driver, "plan")?;
        session.uid = Some(&request.uid);
        exports!(plugin, Driver).plan(session, request).await
    }

    async fn provision(
        &self,
        call: Call<'_>,
        request: &DriverRequest,
        token: Option<&str>,
    ) -> Result<Progress<Provisioned>, Fault> {
        let (plugin, mut session) = self.session(call, PluginKind::Driver, "provision")?;
        session.uid = Some(&request.uid);
        session.has_effects = true;
        exports!(plugin, Driver).provision(session, request, token).await
    }

    async fn foresee(
        &self,
        call: Call<'_>,
        request: &DriverRequest,
    ) -> Result<Option<Provisioned>, Fault> {
        let (plugin, mut session) = self.session(call, PluginKind::Driver, "provision")?;
        if !plugin.grants.hosts.is_empty() {
            return Ok(None);
        }
        session.uid = Some(&request.uid);
        match exports!(plugin, Driver).provision(session, request, None).await? {
            Progress::Done(provisioned) => Ok(Some(provisioned)),
            Progress::Pending { .. } => Ok(None),
        }
    }

    async fn observe(
        &self,
        call: Call<'_>,
        request: &DriverRequest,
    ) -> Result<Option<Value>, Fault> {
        let (plugin, mut session) = self.session(call, PluginKind::Driver, "observe")?;
        session.uid = Some(&request.uid);
        exports!(plugin, Driver).observe(session, request).await
    }

    async fn destroy(
        &self,
        call: Call<'_>,
        request: &DriverRequest,
        token: Option<&str>,
    ) -> Result<Removal, Fault> {
        let (plugin, mut session) = self.session(call, PluginKind::Driver, "destroy")?;
        session.uid = Some(&request.uid);
        exports!(plugin, Driver).destroy(session, request, token).await
    }
}

#[async_trait]
impl Templaters for PluginHost {
    async fn render(&self, call: Call<'_>, input: &RenderInput) -> Result<Vec<Value>, Fault> {
        let (plugin, session) = self.session(call, PluginKind::Templater, "render")?;
        exports!(plugin, Templater).render(session, input).await
    }
}

#[async_trait]
impl Strategies for PluginHost {
    async fn start(&self, call: Call<'_>, context: &StrategyContext) -> Result<Decision, Fault> {
        let (plugin, session) = self.session(call, PluginKind::Strategy, "start")?;
        exports!(plugin, Strategy).start(session, context).await
    }

    async fn next(
        &self,
        call: Call<'_>,
        context: &StrategyContext,
        state: &Value,
        observation: &Value,
    ) -> Result<Decision, Fault> {
        let (plugin, session) = self.session(call, PluginKind::Strategy, "next")?;
        exports!(plugin, Strategy).next(session, context, state, observation).await
    }
}

#[async_trait]
impl Notifiers for PluginHost {
    async fn format(
        &self,
        call: Call<'_>,
        event: &Value,
        config: &Value,
    ) -> Result<Vec<NotifierRequest>, Fault> {
        let (plugin, session) = self.session(call, PluginKind::Notifier, "format")?;
        exports!(plugin, Notifier).format(session, event, config).await
    }

    fn reads_answers(&self, plugin: &PluginRef) -> bool {
        // Who is not loaded, or is no notifier, says so when it is called.
        let plugin = self.find(plugin);
        plugin.is_ok_and(|plugin| match &plugin.exports {
            Exports::Notifier(notifier) => notifier.reads_answers(),
            _ => false,
        })
    }

    async fn tell(&self, call: Call<'_>, telling: &Telling<'_>) -> Result<TellingStep, Fault> {
        let (plugin, session) = self.session(call, PluginKind::Notifier, "tell")?;
        exports!(plugin, Notifier).tell(session, telling).await
    }
}

#[async_trait]
impl Receivers for PluginHost {
    async fn decode(
        &self,
        call: Call<'_>,
        delivery: &Delivery,
        config: &Value,
    ) -> Result<Vec<Value>, Fault> {
        let (plugin, session) = self.session(call, PluginKind::Receiver, "decode")?;
        exports!(plugin, Receiver).decode(session, delivery, config).await
    }
}

#[async_trait]
impl Checks for PluginHost {
    async fn run(&self, call: Call<'_>, request: &CheckRequest) -> Result<CheckOutcome, Fault> {
        let (plugin, mut session) = self.session(call, PluginKind::Check, "run")?;
        // It may start something, such as a suite of tests.
        session.has_effects = true;
        exports!(plugin, Check).run(session, request).await
    }
}

#[async_trait]
impl Policies for PluginHost {
    async fn evaluate(
        &self,
        call: Call<'_>,
        input: &Value,
        params: &Value,
    ) -> Result<Vec<Violation>, Fault> {
        let (plugin, session) = self.session(call, PluginKind::Policy, "evaluate")?;
        exports!(plugin, Policy).evaluate(session, input, params).await
    }
}
