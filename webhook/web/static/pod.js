/** What of a pod's manifest is shown in its picture. A manifest is its author's: nothing in it is taken for granted. */

/**
 * {name, account, init, containers, volumes}. A container is {name, image, mounts, isAdded, isSidecar}; a mount
 * {volume, path, isReadOnly}; a volume {name, kind, isAdded}. `patch` tells what has been added.
 */
export function readPod(manifest, patch) {
  const spec = mapping(manifest?.spec);
  const metadata = mapping(manifest?.metadata);
  const init = list(spec.initContainers).map((one) => container(one, namesIn(patch, "/spec/initContainers")));
  const containers = list(spec.containers).map((one) => container(one, new Set()));
  const added = namesIn(patch, "/spec/volumes");
  const volumes = list(spec.volumes).map((one) => volume(one, added));
  return {
    name: text(metadata.name) || (metadata.generateName ? `${text(metadata.generateName)}…` : ""),
    account: text(spec.serviceAccountName) || text(spec.serviceAccount),
    init,
    containers,
    volumes: [...volumes, ...undeclared([...init, ...containers], volumes)],
  };
}

function container(given, added) {
  const one = mapping(given);
  return {
    name: text(one.name),
    image: text(one.image),
    mounts: list(one.volumeMounts).map(mount),
    isAdded: added.has(one.name),
    isSidecar: one.restartPolicy === "Always",
  };
}

function mount(given) {
  const one = mapping(given);
  return { volume: text(one.name), path: text(one.mountPath), isReadOnly: one.readOnly === true };
}

function volume(given, added) {
  const one = mapping(given);
  const type = Object.keys(one).find((key) => key !== "name") ?? "emptyDir";
  return { name: text(one.name), kind: kindOf(type, mapping(one[type])), isAdded: added.has(one.name) };
}

function kindOf(type, source) {
  const words = {
    emptyDir: ["emptyDir", source.medium === "Memory" && "memory", source.sizeLimit && `up to ${source.sizeLimit}`],
    persistentVolumeClaim: ["claim", source.claimName],
    configMap: ["ConfigMap", source.name],
    secret: ["Secret", source.secretName],
    hostPath: ["hostPath", source.path],
    csi: ["CSI", source.driver],
    image: ["image", source.reference],
    ephemeral: ["claim of its own"],
  };
  const [first, ...rest] = (Object.hasOwn(words, type) ? words[type] : [type]).filter(Boolean);
  const joint = type === "emptyDir" ? ", " : " ";
  return [first, ...rest.map(text)].join(joint);
}

/** What is mounted and not in the template: a StatefulSet's claims, and what others will add. */
function undeclared(containers, volumes) {
  const known = new Set(volumes.map((one) => one.name));
  const names = containers.flatMap((one) => one.mounts.map((each) => each.volume)).filter((name) => !known.has(name));
  return [...new Set(names)].map((name) => ({ name, kind: "from outside of the template", isAdded: false }));
}

function namesIn(patch, path) {
  const values = list(patch).filter((operation) => operation.path === path || operation.path.startsWith(`${path}/`));
  return new Set(values.flatMap((operation) => operation.value).map((value) => mapping(value).name));
}

function mapping(value) {
  return value !== null && typeof value === "object" && !Array.isArray(value) ? value : {};
}

function list(value) {
  return Array.isArray(value) ? value : [];
}

function text(value) {
  return typeof value === "string" || typeof value === "number" ? String(value) : "";
}
