use crate::apply::{self, Applied, ApplyError, Progress, Step};
use crate::backend::{Backend, Counters, Neighbour, Only, Scope};
use crate::error::{Cause, OpError};
use crate::events::Events;
use crate::firewall::TableName;
use crate::observed::Observed;
use crate::op::Op;
use crate::plan::wanted::{self, network_tag};
use crate::plan::{Plan, PlanError, PlanKind, TeardownError, plan, teardown_among};
use crate::spec::{
    Attachment, AttachmentId, Desired, DeviceName, Forward, Namespace, Network, NetworkName,
    NetworkShape, Owner, TapOptions,
};
use crate::tag::{Role, Subject, Tag};
use core::fmt;
#[cfg(target_os = "linux")]
use core::num::NonZeroUsize;
use macaddr::MacAddr6;
use std::collections::BTreeSet;
use std::io;
use std::sync::{Arc, Mutex, TryLockError, mpsc};
use std::thread;
use tokio::sync::oneshot;

/// The most removals that are carried out together.
const MOST_REMOVALS: usize = 256;

type Work = Box<dyn FnOnce(&mut dyn Backend) + Send>;

/// The kernel, or the in-memory one, for one at a time.
type Shared = Arc<Mutex<Box<dyn Backend + Send>>>;

/// What the namespace's thread is asked to do.
enum Job {
    /// Anything that is done alone.
    Run(Work),
    /// A removal, which is carried out together with others that wait.
    Remove(Removal),
}

/// What is to be removed, and whom to tell.
struct Removal {
    what: What,
    progress: Progress,
    answer: oneshot::Sender<Result<Applied, EnsureError>>,
}

enum What {
    /// The steps of a plan.
    Plan(Plan),
    /// Whatever there is of these subjects when it is looked at, and nothing that is made after that.
    Subjects(Owner, BTreeSet<Subject>),
}

/// One network namespace and one owner in it.
///
/// All work is done by one thread that lives in the namespace: the kernel serialises changes anyhow, more writers
/// only lose, and the caller's threads are never moved. Clones share the thread; it ends with the last of them.
/// Work that was asked for is done whole even if the future is dropped. A plan that changes forwards and other elements
/// of our table only is carried out at once on the calling thread, in a few microseconds, if no other work is being done.
///
/// ```no_run
/// use hostnet::{Desired, DeviceName, Host, Network, NetworkName, Owner};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let host = Host::open(Owner::new("demo")?)?;
/// let mut desired = Desired::new(host.owner().clone());
/// desired.add_network(Network::bridged(
///     NetworkName::new("default")?,
///     DeviceName::new("br0")?,
///     "172.16.0.1/16".parse()?,
/// )?)?;
///
/// let plan = hostnet::plan(&desired, &host.observe().await?)?;
/// print!("{plan}");
/// host.apply(&plan).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Host {
    owner: Owner,
    jobs: mpsc::Sender<Job>,
    /// What the thread works with; taken on the caller's thread for what is done in microseconds.
    backend: Shared,
}

/// How a namespace is opened.
#[cfg(target_os = "linux")]
#[derive(Debug)]
pub struct HostOptions {
    netns: Option<crate::Netns>,
    settings: crate::kernel::Settings,
}

#[cfg(target_os = "linux")]
impl Default for HostOptions {
    /// The calling thread's namespace, with a table that other processes may change, and 32 devices deleted together.
    fn default() -> Self {
        Self { netns: None, settings: crate::kernel::Settings::default() }
    }
}

#[cfg(target_os = "linux")]
impl HostOptions {
    /// Another namespace than the calling thread's.
    #[must_use]
    pub fn in_netns(mut self, netns: crate::Netns) -> Self {
        self.netns = Some(netns);
        self
    }

    /// Holds the owner's nf_tables table, so that nobody else changes it as long as the [`Host`] is there: `nft flush
    /// ruleset` and the restart of a firewall pass it by. The table stays when the process ends, and the next host that
    /// is opened in this way takes hold of it again.
    ///
    /// For one long-lived process of each owner: others of the same owner cannot change the table meanwhile. It takes
    /// Linux 6.9, and a table that was made in this way.
    #[must_use]
    pub const fn with_exclusive_table(mut self) -> Self {
        self.settings.hold = crate::kernel::Hold::Exclusive;
        self
    }

    /// How many devices are deleted together; 32 if not said otherwise.
    ///
    /// The kernel's network lock is held for as long as their deletion takes, about 1.5 ms for each, by which everybody
    /// else waits, in other namespaces too. One by one is slower by far, since the kernel waits for some milliseconds
    /// after each deletion, but only once for all that go together: 1,000 at once take half as long as 32 at a time.
    #[must_use]
    pub const fn with_sweep(mut self, devices: NonZeroUsize) -> Self {
        self.settings.sweep = devices;
        self
    }
}

/// Why a namespace could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The namespace could not be entered.
    #[cfg(target_os = "linux")]
    #[error(transparent)]
    Netns(#[from] crate::kernel::NetnsError),
    /// A thread or a netlink socket could not be had.
    #[error("open netlink sockets: {0}")]
    Io(#[from] io::Error),
}

/// Why what was wanted is not there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EnsureError {
    /// The namespace could not be looked at.
    #[error(transparent)]
    Observe(#[from] OpError),
    /// Something is in the way.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// Something cannot be removed.
    #[error(transparent)]
    Teardown(#[from] TeardownError),
    /// A step failed.
    #[error(transparent)]
    Apply(#[from] ApplyError),
}

impl Host {
    /// Opens the network namespace that the calling thread is in.
    ///
    /// # Errors
    /// When no thread or netlink socket can be had.
    #[cfg(target_os = "linux")]
    pub fn open(owner: Owner) -> Result<Self, OpenError> {
        Self::open_with(owner, HostOptions::default())
    }

    /// Opens another network namespace; the caller's threads stay where they are.
    ///
    /// # Errors
    /// When it cannot be entered (that takes `CAP_SYS_ADMIN`), or no thread or netlink socket can be had.
    #[cfg(target_os = "linux")]
    pub fn open_in(owner: Owner, netns: crate::Netns) -> Result<Self, OpenError> {
        Self::open_with(owner, HostOptions::default().in_netns(netns))
    }

    /// Opens a network namespace in the way that is asked for.
    ///
    /// # Errors
    /// When the namespace cannot be entered, or no thread or netlink socket can be had.
    #[cfg(target_os = "linux")]
    pub fn open_with(owner: Owner, options: HostOptions) -> Result<Self, OpenError> {
        let HostOptions { netns, settings } = options;
        // A new thread is born in the namespace of the thread that starts it.
        Self::start(owner, move || {
            if let Some(netns) = netns {
                netns.enter()?;
            }
            Ok(crate::kernel::Kernel::open(settings)?)
        })
    }

    /// Works on an in-memory kernel instead.
    ///
    /// # Errors
    /// When no thread can be had.
    #[cfg(feature = "fake")]
    pub fn fake(owner: Owner, fake: &crate::fake::Fake) -> Result<Self, OpenError> {
        let fake = fake.clone();
        Self::start(owner, move || Ok(fake))
    }

    /// Whose devices it works on.
    #[must_use]
    pub const fn owner(&self) -> &Owner {
        &self.owner
    }

    /// Looks at everything in the namespace. Costs as much as there are devices; meant for recovery and reports.
    ///
    /// # Errors
    /// When the kernel cannot be asked.
    pub async fn observe(&self) -> Result<Observed, OpError> {
        self.observe_scope(Scope::Everything).await
    }

    /// Looks at what `desired` names, and at what stands in its way. Costs as much as it names.
    ///
    /// # Errors
    /// When the kernel cannot be asked.
    pub async fn observe_for(&self, desired: &Desired) -> Result<Observed, OpError> {
        self.observe_scope(scope_of(desired)).await
    }

    /// Says what is not as `desired` has it: the steps that would put it right. Changes nothing.
    ///
    /// # Errors
    /// When the namespace cannot be looked at, or something foreign is in the way.
    pub async fn verify(&self, desired: &Desired) -> Result<Plan, EnsureError> {
        Ok(plan(desired, &self.observe_for(desired).await?)?)
    }

    /// Carries a plan out. A plan that builds is undone if a step fails; one that removes goes on.
    ///
    /// # Errors
    /// When a step fails; the error says what became of the others.
    pub async fn apply(&self, plan: &Plan) -> Result<Applied, ApplyError> {
        self.apply_with(plan, |_| {}).await
    }

    /// Carries a plan out and tells of every step.
    ///
    /// `progress` is called by whichever thread does the step, mostly the namespace's: it must not wait for this host,
    /// and a panic in it ends the host.
    ///
    /// # Errors
    /// When a step fails; the error says what became of the others.
    pub async fn apply_with(
        &self,
        plan: &Plan,
        progress: impl FnMut(Step<'_>) + Send + 'static,
    ) -> Result<Applied, ApplyError> {
        if let Some(other) = plan.ops().iter().find_map(|op| op.other_owner(&self.owner)) {
            return Err(ApplyError::OtherOwner { plan: other.clone(), host: self.owner.clone() });
        }
        let mut progress: Progress = Box::new(progress);
        let is_element = |op: &Op| matches!(op, Op::AddElement { .. } | Op::RemoveElement { .. });
        if plan.ops().iter().all(is_element) {
            // The socket knows its namespace, whichever thread uses it.
            match self.backend.try_lock() {
                Ok(mut backend) => return apply::at_once(backend.as_mut(), plan, &mut progress),
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Poisoned(_)) => return Err(ApplyError::Closed),
            }
        }
        let plan = plan.clone();
        let result = match plan.kind {
            PlanKind::Build => {
                self.run(move |backend| apply::build(backend, &plan, &mut progress)).await
            }
            PlanKind::Remove => match self.remove_job(What::Plan(plan), progress).await {
                Some(Ok(applied)) => Some(Ok(applied)),
                Some(Err(EnsureError::Apply(error))) => Some(Err(error)),
                // Nothing is looked at or planned for a plan.
                Some(Err(_)) | None => None,
            },
        };
        result.unwrap_or(Err(ApplyError::Closed))
    }

    /// Makes everything that `desired` names be there: looks, plans, applies. Does nothing if it is.
    ///
    /// # Errors
    /// When something foreign is in the way or a step fails; then the namespace is as it was.
    pub async fn ensure(&self, desired: &Desired) -> Result<Applied, EnsureError> {
        let (desired, scope) = (desired.clone(), scope_of(desired));
        let owner = self.owner.clone();
        // In one go, so that nothing comes between the look and the act.
        let result = self.run(move |backend| {
            let observed = backend.observe(&owner, &scope)?;
            let plan = plan(&desired, &observed)?;
            let mut nobody: Progress = Box::new(|_| {});
            Ok(apply::build(backend, &plan, &mut nobody)?)
        });
        result.await.unwrap_or_else(|| Err(ApplyError::Closed.into()))
    }

    /// Adds a port forward to an attachment, without a look at anything else.
    ///
    /// # Errors
    /// When the port is taken; the error says by whom.
    pub async fn add_forward(
        &self,
        attachment: &Attachment,
        forward: Forward,
    ) -> Result<Applied, ApplyError> {
        self.apply(&self.forward_plan(attachment, forward, PlanKind::Build)).await
    }

    /// Takes a port forward from an attachment. Not there, or another's by now, is success.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub async fn remove_forward(
        &self,
        attachment: &Attachment,
        forward: Forward,
    ) -> Result<Applied, ApplyError> {
        self.apply(&self.forward_plan(attachment, forward, PlanKind::Remove)).await
    }

    fn forward_plan(&self, attachment: &Attachment, forward: Forward, kind: PlanKind) -> Plan {
        let (table, tag) = (
            TableName::new(self.owner.clone()),
            wanted::attachment_tag(&self.owner, attachment, Role::Rules),
        );
        let op = |element| {
            let (table, tag) = (table.clone(), tag.clone());
            match kind {
                PlanKind::Build => Op::AddElement { table, element, tag },
                PlanKind::Remove => Op::RemoveElement { table, element, tag },
            }
        };
        Plan { kind, ops: wanted::of_forward(attachment, forward).map(op).collect() }
    }

    /// Makes a persistent TAP and brings it up, on no network: for those who want nothing but that. Its name is its
    /// attachment's id.
    ///
    /// # Errors
    /// When the name is taken by whatever else, or TAPs cannot be made here.
    pub async fn create_tap(
        &self,
        name: &DeviceName,
        options: TapOptions,
    ) -> Result<Applied, EnsureError> {
        let id = AttachmentId::new(&name.as_str().to_lowercase()).map_err(PlanError::from)?;
        let tag = Tag::new(self.owner.clone(), Subject::Attachment(id), Role::Tap, 0);
        let plan = crate::plan::lone_tap(name, options, tag);
        Ok(self.apply(&plan).await?)
    }

    /// Deletes a TAP that [`create_tap`](Self::create_tap) made. Not there is success.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub async fn delete_tap(&self, name: &DeviceName) -> Result<Applied, EnsureError> {
        let id = AttachmentId::new(&name.as_str().to_lowercase()).map_err(PlanError::from)?;
        self.remove(&[Subject::Attachment(id)].into()).await
    }

    /// Makes nothing of these subjects be there: looks, plans, applies. Does nothing if nothing is.
    ///
    /// # Errors
    /// When a bridge is still in use or a step fails; all other steps are carried out then.
    pub async fn remove(&self, subjects: &BTreeSet<Subject>) -> Result<Applied, EnsureError> {
        let what = What::Subjects(self.owner.clone(), subjects.clone());
        let result = self.remove_job(what, Box::new(|_| {})).await;
        result.unwrap_or_else(|| Err(ApplyError::Closed.into()))
    }

    /// The neighbour table of a network's bridge: which address was seen at which MAC.
    ///
    /// # Errors
    /// When the bridge is not there or the kernel cannot be asked.
    pub async fn neighbours(&self, network: &NetworkName) -> Result<Vec<Neighbour>, OpError> {
        let tag = network_tag(&self.owner, network, Role::Bridge);
        let result = self.run(move |backend| backend.neighbours(&tag)).await;
        result.unwrap_or_else(|| Err(OpError::new("read the neighbours", Cause::Closed)))
    }

    /// The neighbours behind an attachment's own device: those of a guest on a routed network.
    ///
    /// # Errors
    /// When the device is not there or the kernel cannot be asked.
    pub async fn neighbours_of(
        &self,
        attachment: &AttachmentId,
    ) -> Result<Vec<Neighbour>, OpError> {
        let ports = self.ports(attachment);
        let result = self.run(move |backend| first_of(&ports, |tag| backend.neighbours(tag))).await;
        result.unwrap_or_else(|| Err(OpError::new("read the neighbours", Cause::Closed)))
    }

    /// The addresses that this MAC was seen at on a network's bridge, lately or now: what `arp -a` is asked for.
    ///
    /// # Errors
    /// When the bridge is not there or the kernel cannot be asked.
    pub async fn neighbours_by_mac(
        &self,
        network: &NetworkName,
        mac: MacAddr6,
    ) -> Result<Vec<Neighbour>, OpError> {
        let mut neighbours = self.neighbours(network).await?;
        neighbours.retain(|neighbour| neighbour.mac == Some(mac) && neighbour.state.is_valid());
        Ok(neighbours)
    }

    /// What went through an attachment's device on the host since it was made.
    ///
    /// # Errors
    /// When the device is not there or the kernel cannot be asked.
    pub async fn counters(&self, attachment: &AttachmentId) -> Result<Counters, OpError> {
        let ports = self.ports(attachment);
        let result = self.run(move |backend| first_of(&ports, |tag| backend.counters(tag))).await;
        result.unwrap_or_else(|| Err(OpError::new("read the counters", Cause::Closed)))
    }

    /// Listens to what happens to links and neighbours in the namespace. The first event tells everything there is.
    ///
    /// # Errors
    /// When no thread or netlink socket can be had.
    pub async fn events(&self) -> Result<Events, OpError> {
        let result = self.run(|backend| backend.events()).await;
        result.unwrap_or_else(|| Err(OpError::new("listen to the namespace", Cause::Closed)))
    }

    /// What an attachment's device on the host may be, of any generation.
    fn ports(&self, attachment: &AttachmentId) -> [Tag; 2] {
        [Role::HostEnd, Role::Tap].map(|role| {
            Tag::new(self.owner.clone(), Subject::Attachment(attachment.clone()), role, 0)
        })
    }

    async fn observe_scope(&self, scope: Scope) -> Result<Observed, OpError> {
        let owner = self.owner.clone();
        let result = self.run(move |backend| backend.observe(&owner, &scope)).await;
        result.unwrap_or_else(|| Err(OpError::new("look at the namespace", Cause::Closed)))
    }

    /// Removes something on the namespace's thread; `None` if that has ended.
    async fn remove_job(
        &self,
        what: What,
        progress: Progress,
    ) -> Option<Result<Applied, EnsureError>> {
        let (answer, result) = oneshot::channel();
        self.jobs.send(Job::Remove(Removal { what, progress, answer })).ok()?;
        result.await.ok()
    }

    /// Runs a job on the namespace's thread; `None` if that has ended.
    async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut dyn Backend) -> T + Send + 'static,
    ) -> Option<T> {
        let (answer, result) = oneshot::channel();
        let job = Box::new(move |backend: &mut dyn Backend| {
            // Nobody waits any more if the future was dropped; the work is done all the same.
            let _ = answer.send(job(backend));
        });
        self.jobs.send(Job::Run(job)).ok()?;
        result.await.ok()
    }

    #[cfg(any(target_os = "linux", feature = "fake"))]
    fn start<B: Backend + Send + 'static>(
        owner: Owner,
        open: impl FnOnce() -> Result<B, OpenError> + Send + 'static,
    ) -> Result<Self, OpenError> {
        let (jobs, queue) = mpsc::channel();
        let (opened, outcome) = mpsc::sync_channel(1);
        thread::Builder::new().name("hostnet".to_owned()).spawn(move || match open() {
            Ok(backend) => {
                let backend: Shared = Arc::new(Mutex::new(Box::new(backend)));
                let _ = opened.send(Ok(Arc::clone(&backend)));
                work(&backend, &queue);
            }
            Err(error) => {
                let _ = opened.send(Err(error));
            }
        })?;
        let backend = outcome.recv().map_err(io::Error::other)??;
        Ok(Self { owner, jobs, backend })
    }
}

/// What a wish names, and what it takes.
fn scope_of(desired: &Desired) -> Scope {
    let devices = desired.networks().flat_map(wanted::devices_of_network);
    let (mut routes, mut neighbours) = (Vec::new(), Vec::new());
    for attachment in desired.attachments() {
        let network = desired.network(attachment.network());
        if let Some(network) = network.filter(|n| n.shape() == NetworkShape::Routed) {
            let subject = || Subject::Attachment(attachment.id().clone());
            let to = wanted::port_routes(attachment, network);
            routes.extend(to.into_iter().map(|route| (subject(), route)));
            let on = wanted::port_neighbours(attachment, network);
            neighbours.extend(on.into_iter().map(|entry| (subject(), entry)));
        }
    }
    Scope::Only(Only {
        subjects: desired.subjects(),
        devices: devices.chain(desired.attachments().map(wanted::device_of_attachment)).collect(),
        namespaces: desired
            .attachments()
            .filter_map(|attachment| attachment.namespace().map(Namespace::name).cloned())
            .collect(),
        elements: wanted::elements(desired).into_iter().flat_map(|w| w.elements).collect(),
        addresses: desired.networks().flat_map(Network::addresses).collect(),
        routes,
        neighbours,
        to_go: false,
    })
}

/// The answer for the first of these devices that is there.
fn first_of<T>(
    tags: &[Tag],
    mut ask: impl FnMut(&Tag) -> Result<T, OpError>,
) -> Result<T, OpError> {
    let mut last = Err(OpError::new("find the device", Cause::Missing));
    for tag in tags {
        last = ask(tag);
        if !matches!(last, Err(OpError { cause: Cause::Missing, .. })) {
            break;
        }
    }
    last
}

/// Does what is asked for, in order, until nobody can ask any more.
#[cfg(any(target_os = "linux", feature = "fake"))]
fn work(backend: &Shared, queue: &mpsc::Receiver<Job>) {
    let mut next = queue.recv().ok();
    while let Some(job) = next.take() {
        // Whoever held it and panicked may have left anything behind.
        let Ok(mut backend) = backend.lock() else { return };
        match job {
            Job::Run(job) => job(backend.as_mut()),
            Job::Remove(removal) => {
                let mut removals = vec![removal];
                while removals.len() < MOST_REMOVALS {
                    match queue.try_recv() {
                        Ok(Job::Remove(removal)) => removals.push(removal),
                        other => {
                            next = other.ok();
                            break;
                        }
                    }
                }
                remove_together(backend.as_mut(), removals);
            }
        }
        drop(backend);
        next = next.or_else(|| queue.recv().ok());
    }
}

/// Carries out removals that were asked for at once.
#[cfg(any(target_os = "linux", feature = "fake"))]
fn remove_together(backend: &mut dyn Backend, removals: Vec<Removal>) {
    let going: BTreeSet<Subject> = removals
        .iter()
        .filter_map(|removal| match &removal.what {
            What::Plan(_) => None,
            What::Subjects(_, subjects) => Some(subjects),
        })
        .flatten()
        .cloned()
        .collect();
    // One look serves them all: nothing of ours is made while this thread is here.
    let mut seen: Option<Result<Observed, OpError>> = None;
    let (mut orders, mut answers) = (Vec::new(), Vec::new());
    for Removal { what, progress, answer } in removals {
        let plan = match what {
            What::Plan(plan) => Ok(plan),
            What::Subjects(owner, subjects) => seen
                .get_or_insert_with(|| backend.observe(&owner, &Scope::of(&going)))
                .clone()
                .map_err(EnsureError::from)
                .and_then(|observed| Ok(teardown_among(&subjects, &going, &observed)?)),
        };
        match plan {
            Ok(plan) => {
                orders.push((plan, progress));
                answers.push(answer);
            }
            Err(error) => {
                let _ = answer.send(Err(error));
            }
        }
    }
    for (answer, result) in answers.into_iter().zip(apply::remove(backend, &mut orders)) {
        let _ = answer.send(result.map_err(EnsureError::from));
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host").field("owner", &self.owner).finish_non_exhaustive()
    }
}
