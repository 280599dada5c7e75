"""The ways of Docker without Kubernetes, and the model inside the application's image, which is one of both."""

import shlex
from typing import Final

from webhook.advice.next_steps import injector, published
from webhook.advice.situation import Names, Situation
from webhook.advice.way import Assessment, Estimate, Way, download, image_pull, kept, on_nodes_as_image, releases


def _application_image(situation: Situation) -> Assessment:
    is_tight, is_offline = situation.coupling == "tight", situation.connectivity == "none"
    reasons = (
        "nodes cannot reach a registry (--connectivity none)"
        if is_offline and situation.platform == "kubernetes"
        else None,
        "a COPY of the model is one layer, and is larger than the registry's --layer-limit"
        if situation.bytes > situation.layer_limit and not is_offline
        else None,
    )
    return Assessment(
        excluded=next(filter(None, reasons), None),
        estimate=image_pull(situation),
        once=(),
        each_version=("build it into the image of the code's release",)
        if is_tight
        else ("rebuild the application's image", "push the image", "deploy the application"),
        stored={"registry": kept(situation), "node-disk": on_nodes_as_image(situation)},
        trade_offs=(
            "Each push and pull carries the whole model wherever its layer is not cached, also for a change of code.",
            "A new version of the model needs a new image, and so does each variant in an A/B test.",
            "Applications that use the same model each store a copy of it.",
        ),
    )


def _pulled_folder(situation: Situation) -> Assessment:
    once_per_host = download(situation)
    copy = once_per_host.warm
    return Assessment(
        excluded=None
        if situation.connectivity == "s3"
        else f"the host cannot reach S3 (--connectivity {situation.connectivity})",
        estimate=Estimate(
            cold=copy,
            warm=0,
            amount=situation.bytes,
            rate=once_per_host.rate,
            bottleneck=once_per_host.bottleneck,
            transfer=situation.bytes * situation.nodes,
        ),
        once=("give the host credentials that read the bucket",),
        each_version=("publish the version to the bucket", "pull it to each host", *releases(situation)),
        stored={"bucket": kept(situation), "node-disk": kept(situation) * situation.nodes},
        trade_offs=(
            "Somebody pulls each version to each host, and deletes old ones.",
            "A container that starts before its version was pulled does not find it.",
        ),
    )


def _bind_mount(situation: Situation) -> Assessment:
    reasons = (
        "files of one machine can change while they are served: for --environment development only"
        if situation.environment == "production"
        else None,
        "it reaches one host, and there are several" if situation.nodes > 1 else None,
    )
    return Assessment(
        excluded=next(filter(None, reasons), None),
        estimate=Estimate(cold=0, warm=0, amount=0, rate=0, bottleneck="nothing: the files are there", transfer=0),
        once=(),
        each_version=("write it into the folder",),
        stored={"node-disk": situation.bytes},
        trade_offs=(
            "Nothing says which version the folder contains, and nothing verifies it.",
            "The container sees each change at once, including half-written files.",
        ),
    )


def _application_image_commands(situation: Situation, names: Names) -> tuple[str, ...]:
    target = f"{names.mount_path}/{names.folder}"
    copy = shlex.quote(f"COPY models/{names.folder} {target}")
    build = ("docker build -t REGISTRY/APP:TAG .",)
    if situation.connectivity == "none":
        ship: tuple[str, ...] = ("docker save REGISTRY/APP:TAG -o APP.tar", "docker load -i APP.tar  # on the host")
    else:
        ship = ("docker push REGISTRY/APP:TAG",)
    run = (
        "kubectl -n " + shlex.join([names.namespace, "set", "image", "deployment/APP"]) + " APP=REGISTRY/APP:TAG"
        if situation.platform == "kubernetes"
        else shlex.join(["docker", "run", "-e", f"MODEL_PATH={target}", "REGISTRY/APP:TAG"])
    )
    pull = injector(names, "pull", f"{names.model}@{names.version}", "models")
    return (pull, f"echo {copy} >> Dockerfile", *build, *ship, run)


def _pulled_folder_commands(situation: Situation, names: Names) -> tuple[str, ...]:
    del situation
    path = shlex.quote(f"MODEL_PATH={names.mount_path}/{names.folder}")
    return (
        *published(names),
        injector(names, "pull", f"{names.model}@{names.version}", "models"),
        f'docker run -v "$PWD/models":{shlex.quote(names.mount_path)}:ro -e {path} IMAGE',
    )


def _bind_mount_commands(situation: Situation, names: Names) -> tuple[str, ...]:
    del situation
    path = shlex.quote(names.mount_path)
    return (f'docker run -v "$PWD/DIR":{path}:ro -e MODEL_PATH={path} IMAGE',)


APPLICATION_IMAGE: Final = Way(
    name="application-image",
    summary="The image of the application contains the model.",
    platforms=("kubernetes", "docker"),
    assess=_application_image,
    commands=_application_image_commands,
)
DOCKER_WAYS: Final = (
    Way(
        name="pulled-folder",
        summary="`docker run -v` mounts a folder of the host that `model-injector pull` has filled and verified.",
        platforms=("docker",),
        assess=_pulled_folder,
        commands=_pulled_folder_commands,
    ),
    Way(
        name="bind-mount",
        summary="`docker run -v` mounts the folder that you work on.",
        platforms=("docker",),
        assess=_bind_mount,
        commands=_bind_mount_commands,
    ),
)
