//! The task service on ttrpc: requests in, answers out, nothing else.
//!
//! A call goes on to its end also when containerd gives up waiting for it: half
//! a Create would be nobody's. The same messages are served under both of the
//! names that containerds call: version 2 and 3 of the task API.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;

use async_trait::async_trait;
use containerd_shim_protos::api;
use containerd_shim_protos::protobuf::MessageField;
use containerd_shim_protos::shim_async::{Task, create_task};
use containerd_shim_protos::ttrpc::r#async::{Service, TtrpcContext};
use containerd_shim_protos::ttrpc::{Code, Result, get_status};

use crate::error::Error;
use crate::events::timestamp;
use crate::life::Call;
use crate::rest::Rest;
use crate::shim::Shim;

/// What containerd 1.6 and 1.7 call.
const VERSION_2: &str = "containerd.task.v2.Task";

/// What containerd 2 calls once it is told.
const VERSION_3: &str = "containerd.task.v3.Task";

/// The service under both names.
#[must_use]
pub fn services(shim: &Arc<Shim>) -> HashMap<String, Service> {
    let server = Arc::new(Server(shim.clone(), Arc::default()));
    let make = || create_task(server.clone());
    let mut services = make();
    let old = make().remove(VERSION_3);
    services.extend(old.map(|service| (VERSION_2.to_owned(), service)));
    services
}

struct Server(Arc<Shim>, Arc<Rest>);

impl Server {
    /// Does the work, whoever still waits for it.
    async fn to_the_end<T: Send + 'static>(
        &self,
        work: impl Future<Output = std::result::Result<T, Error>> + Send + 'static,
    ) -> Result<T> {
        let done = tokio::spawn(work).await;
        self.1.after_call();
        match done {
            Ok(done) => Ok(done?),
            Err(error) => Err(containerd_shim_protos::ttrpc::Error::RpcStatus(get_status(
                Code::INTERNAL,
                error.to_string(),
            ))),
        }
    }
}

fn empty() -> api::Empty {
    api::Empty::default()
}

#[async_trait]
impl Task for Server {
    async fn create(
        &self,
        _: &TtrpcContext,
        request: api::CreateTaskRequest,
    ) -> Result<api::CreateTaskResponse> {
        let shim = self.0.clone();
        let pid = self
            .to_the_end(async move { shim.create(request).await })
            .await?;
        Ok(api::CreateTaskResponse {
            pid,
            ..Default::default()
        })
    }

    async fn start(
        &self,
        _: &TtrpcContext,
        request: api::StartRequest,
    ) -> Result<api::StartResponse> {
        let shim = self.0.clone();
        let pid = self
            .to_the_end(async move { shim.start(&request.id, &request.exec_id).await })
            .await?;
        Ok(api::StartResponse {
            pid,
            ..Default::default()
        })
    }

    async fn delete(
        &self,
        _: &TtrpcContext,
        request: api::DeleteRequest,
    ) -> Result<api::DeleteResponse> {
        let shim = self.0.clone();
        self.to_the_end(async move { shim.delete(&request.id, &request.exec_id).await })
            .await
    }

    async fn exec(&self, _: &TtrpcContext, request: api::ExecProcessRequest) -> Result<api::Empty> {
        self.0.exec(&request)?;
        Ok(empty())
    }

    async fn state(
        &self,
        _: &TtrpcContext,
        request: api::StateRequest,
    ) -> Result<api::StateResponse> {
        Ok(self.0.state(&request.id, &request.exec_id)?)
    }

    async fn pids(&self, _: &TtrpcContext, request: api::PidsRequest) -> Result<api::PidsResponse> {
        let processes = self.0.pids(&request.id)?;
        Ok(api::PidsResponse {
            processes,
            ..Default::default()
        })
    }

    async fn pause(&self, _: &TtrpcContext, request: api::PauseRequest) -> Result<api::Empty> {
        let shim = self.0.clone();
        self.to_the_end(async move { shim.turn(&request.id, Call::Pause).await })
            .await?;
        Ok(empty())
    }

    async fn resume(&self, _: &TtrpcContext, request: api::ResumeRequest) -> Result<api::Empty> {
        let shim = self.0.clone();
        self.to_the_end(async move { shim.turn(&request.id, Call::Resume).await })
            .await?;
        Ok(empty())
    }

    async fn checkpoint(
        &self,
        _: &TtrpcContext,
        _: api::CheckpointTaskRequest,
    ) -> Result<api::Empty> {
        Err(Error::Unimplemented("checkpoint").into())
    }

    async fn kill(&self, _: &TtrpcContext, request: api::KillRequest) -> Result<api::Empty> {
        let shim = self.0.clone();
        let api::KillRequest {
            id,
            exec_id,
            signal,
            all,
            ..
        } = request;
        self.to_the_end(async move { shim.kill(&id, &exec_id, signal, all).await })
            .await?;
        Ok(empty())
    }

    async fn resize_pty(
        &self,
        _: &TtrpcContext,
        request: api::ResizePtyRequest,
    ) -> Result<api::Empty> {
        self.0
            .resize(&request.id, &request.exec_id, request.width, request.height)?;
        Ok(empty())
    }

    async fn close_io(&self, _: &TtrpcContext, request: api::CloseIORequest) -> Result<api::Empty> {
        if request.stdin {
            self.0.close_input(&request.id, &request.exec_id)?;
        }
        Ok(empty())
    }

    async fn update(
        &self,
        _: &TtrpcContext,
        request: api::UpdateTaskRequest,
    ) -> Result<api::Empty> {
        let shim = self.0.clone();
        let resources = request.resources.into_option().unwrap_or_default().value;
        self.to_the_end(async move { shim.update(&request.id, &resources).await })
            .await?;
        Ok(empty())
    }

    async fn wait(&self, _: &TtrpcContext, request: api::WaitRequest) -> Result<api::WaitResponse> {
        let exit = self.0.wait(&request.id, &request.exec_id).await?;
        Ok(api::WaitResponse {
            exit_status: exit.status,
            exited_at: timestamp(exit.at),
            ..Default::default()
        })
    }

    async fn stats(
        &self,
        _: &TtrpcContext,
        request: api::StatsRequest,
    ) -> Result<api::StatsResponse> {
        let stats = MessageField::some(self.0.stats(&request.id)?);
        Ok(api::StatsResponse {
            stats,
            ..Default::default()
        })
    }

    async fn connect(
        &self,
        _: &TtrpcContext,
        request: api::ConnectRequest,
    ) -> Result<api::ConnectResponse> {
        Ok(self.0.connect(&request.id))
    }

    async fn shutdown(&self, _: &TtrpcContext, _: api::ShutdownRequest) -> Result<api::Empty> {
        self.0.shutdown();
        Ok(empty())
    }
}
