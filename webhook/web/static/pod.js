/** Reads the parts of a pod's manifest that its picture shows. Values of a wrong type in the manifest are ignored. */

/**
 * Returns {name, account, init, containers, volumes}. A container is {name, image, mounts, isAdded, isSidecar}, a mount
 * {volume, path, isReadOnly}, and a volume {name, kind, isAdded}. `isAdded` is true for what `patch` adds.
 */
export function readPod(manifest, patch) {
  const spec = mapping(manifest?.spec);
  const metadata = mapping(manifest?.metadata);
  const init = list(spec.initContainers).map((item) => container(item, namesIn(patch, "/spec/initContainers")));
  const containers = list(spec.containers).map((item) => container(item, new Set()));
  const added = namesIn(patch, "/spec/volumes");
  const volumes = list(spec.volumes).map((item) => volume(item, added));
  return {
    name: text(metadata.name) || (metadata.generateName ? `${text(metadata.generateName)}…` : ""),
    account: text(spec.serviceAccountName) || text(spec.serviceAccount),
    init,
    containers,
    volumes: [...volumes, ...undeclared([...init, ...containers], volumes)],
  };
}

function container(value, added) {
  const fields = mapping(value);
  return {
    name: text(fields.name),
    image: text(fields.image),
    mounts: list(fields.volumeMounts).map(mount),
    isAdded: added.has(fields.name),
    isSidecar: fields.restartPolicy === "Always",
  };
}

function mount(value) {
  const fields = mapping(value);
  return { volume: text(fields.name), path: text(fields.mountPath), isReadOnly: fields.readOnly === true };
}

function volume(value, added) {
  const fields = mapping(value);
  const type = Object.keys(fields).find((key) => key !== "name") ?? "emptyDir";
  return { name: text(fields.name), kind: kindOf(type, mapping(fields[type])), isAdded: added.has(fields.name) };
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
    ephemeral: ["ephemeral claim"],
  };
  const [first, ...rest] = (Object.hasOwn(words, type) ? words[type] : [type]).filter(Boolean);
  const separator = type === "emptyDir" ? ", " : " ";
  return [first, ...rest.map(text)].join(separator);
}

/** Volumes that are mounted but not in the manifest, such as those that other controllers or webhooks add. */
function undeclared(containers, volumes) {
  const known = new Set(volumes.map(({ name }) => name));
  const mounted = containers.flatMap(({ mounts }) => mounts.map((item) => item.volume));
  const names = mounted.filter((name) => !known.has(name));
  return [...new Set(names)].map((name) => ({ name, kind: "not in the template", isAdded: false }));
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
