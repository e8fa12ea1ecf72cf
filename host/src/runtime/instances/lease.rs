//! An instance on loan: one call under its deadline, and what is told of its failure.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    sync::atomic::Ordering,
    task::Poll,
    time::{Duration, Instant},
};

use wasmtime::{
    Store, Trap,
    component::{ComponentNamedList, Lift, Lower, TypedFunc},
};

use super::{Instance, Slot};
use crate::{
    capabilities::State,
    runtime::{CallError, call::DeadlinePassed, exports::Exports, trap},
};

/// The end of time for calls that their callers watch.
const LONGEST: Duration = Duration::from_secs(365 * 86_400);

/// An instance on loan for one call. Dropping it in the middle of a call throws the instance
/// away: a store whose call did not end cannot be entered again.
pub struct Lease {
    /// `Some` until the drop.
    instance: Option<Box<Instance>>,
    deadline: Instant,
    broken: bool,
    // Last, so that the instance is back before the slot is free.
    slot: Slot,
}

impl Lease {
    pub(super) fn new(slot: Slot, instance: Box<Instance>, deadline: Instant) -> Self {
        Self { slot, instance: Some(instance), deadline, broken: false }
    }

    /// When the call must have ended.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Wait for the turns that earlier calls took without waiting for one, as every new lease does;
    /// for a lease that is kept from call to call.
    pub fn repay(&self) -> impl Future<Output = ()> + Send + use<> {
        let conduct = self.slot.0.conduct.clone();
        async move { conduct.repay().await }
    }

    /// Give the call its whole time, counted from now: the wait for the instance was not the
    /// call's fault.
    pub fn renew(&mut self) {
        self.deadline = Instant::now() + self.slot.0.limits.timeout;
    }

    /// The typed exports.
    pub fn exports(&self) -> &Exports {
        &self.instance().exports
    }

    /// The state in the store, to prepare it for the call.
    pub fn state(&mut self) -> &mut State {
        self.instance_mut().store.data_mut()
    }

    /// Call an export and wait for its answer. After an error the instance is gone.
    pub async fn call<P, R>(&mut self, function: TypedFunc<P, R>, params: P) -> Result<R, CallError>
    where
        P: ComponentNamedList + Lower + Send + Sync + 'static,
        R: ComponentNamedList + Lift + Send + Sync + 'static,
    {
        self.run(async |store| function.call_async(store, params).await).await
    }

    /// Run something in the store under the deadline, for contracts that are more than a call.
    /// After an error the instance is gone.
    pub async fn run<R>(
        &mut self,
        body: impl AsyncFnOnce(&mut Store<State>) -> wasmtime::Result<R>,
    ) -> Result<R, CallError> {
        let (deadline, conduct) = (self.deadline, self.slot.0.conduct.clone());
        let outcome = {
            // It begins behind the line for the lane, if it has to stand there.
            let body = pin!(async { body(self.begin(deadline)).await });
            within(deadline, pin!(conduct.oversee(body))).await
        };
        match outcome {
            Some(outcome) => self.end(outcome),
            None => Err(self.late()),
        }
    }

    /// Run something in the store that may last longer than a call, a body that is streamed:
    /// until it ends, until its caller drops it, or until the generation has drained. The caller
    /// watches over its time. After an error the instance is gone.
    pub async fn run_unbounded<R>(
        &mut self,
        body: impl AsyncFnOnce(&mut Store<State>) -> wasmtime::Result<R>,
    ) -> Result<R, CallError> {
        let instances = self.slot.0.clone();
        let interrupt = instances.interrupts.notified();
        if instances.interrupted.load(Ordering::SeqCst) {
            return Err(instances.gone());
        }
        let outcome = {
            let body = pin!(async { body(self.begin(Instant::now() + LONGEST)).await });
            tokio::select! {
                biased;
                outcome = instances.conduct.oversee(body) => Some(outcome),
                () = interrupt => None,
            }
        };
        match outcome {
            Some(outcome) => self.end(outcome),
            None => Err(self.late()),
        }
    }

    /// Until it ends well, the instance counts as broken.
    fn begin(&mut self, deadline: Instant) -> &mut Store<State> {
        self.broken = true;
        let instance = self.instance_mut();
        instance.calls += 1;
        let call = &mut instance.store.data_mut().call;
        call.begin(deadline);
        instance.store.set_epoch_deadline(1);
        &mut instance.store
    }

    fn end<R>(&mut self, outcome: wasmtime::Result<R>) -> Result<R, CallError> {
        match outcome {
            Ok(answer) => {
                let state = self.state();
                state.own.end_call();
                state.call.end();
                self.broken = false;
                Ok(answer)
            }
            Err(error) => Err(self.classify(error)),
        }
    }

    /// The instance broke its contract without a trap: throw it away.
    pub fn fault(&mut self, reason: String) -> CallError {
        self.broken = true;
        CallError::Trap { plugin: self.slot.0.plugin.to_string(), reason }
    }

    /// The component does not export what was asked of it.
    pub fn lacks(&self, what: &str) -> CallError {
        let reason = format!("it exports no {what}");
        CallError::Unavailable { plugin: self.slot.0.plugin.to_string(), reason }
    }

    fn classify(&self, error: wasmtime::Error) -> CallError {
        let plugin = self.slot.0.plugin.to_string();
        if error.is::<DeadlinePassed>() {
            return self.late();
        }
        if self.instance().store.data().memory.exceeded() {
            return CallError::Memory { plugin, limit: self.slot.0.limits.memory };
        }
        let reason = match error.downcast_ref::<Trap>() {
            Some(Trap::StackOverflow) => "call stack exhausted".to_owned(),
            _ => trap::told(&error),
        };
        CallError::Trap { plugin, reason }
    }

    /// The error of a call that takes too long.
    pub fn late(&self) -> CallError {
        self.slot.0.late(self.slot.0.limits.timeout)
    }

    fn instance(&self) -> &Instance {
        self.instance.as_ref().expect("a lease holds its instance until it is dropped")
    }

    fn instance_mut(&mut self) -> &mut Instance {
        self.instance.as_mut().expect("a lease holds its instance until it is dropped")
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(instance) = self.instance.take() else { return };
        if self.broken {
            // The system takes back what it had touched.
            self.slot.0.conduct.measure(|| drop(instance));
        } else {
            self.slot.0.keep(instance);
        }
    }
}

/// Wait for `body` until the deadline. A timer is set only where the body has to wait.
pub(super) async fn within<T>(
    deadline: Instant,
    mut body: Pin<&mut impl Future<Output = T>>,
) -> Option<T> {
    let mut timer = None;
    poll_fn(|cx| {
        if let Poll::Ready(outcome) = body.as_mut().poll(cx) {
            return Poll::Ready(Some(outcome));
        }
        let sleep = || Box::pin(tokio::time::sleep_until(deadline.into()));
        timer.get_or_insert_with(sleep).as_mut().poll(cx).map(|()| None)
    })
    .await
}
