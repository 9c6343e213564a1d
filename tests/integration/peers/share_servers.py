"""Servers of shares: NFS by Ganesha (4, and 3 with a port mapper), SMB by Samba, HTTP and HTTPS by Python."""
import functools
import http.server
import os
import ssl
import subprocess
import threading

NFS, SMB, WEB = "10.77.0.49", "10.77.0.45", "10.77.0.10"

GANESHA = """
NFS_CORE_PARAM {{ NFS_Port = 2049; Bind_addr = {address}; Protocols = 3, 4; Enable_NLM = false;
    Enable_RQUOTA = false; Plugins_Dir = "{plugins}"; }}
NFSV4 {{ Graceless = true; RecoveryBackend = fs; RecoveryRoot = "{directory}"; }}
NFS_KRB5 {{ Active_krb5 = false; }}
EXPORT {{ Export_Id = 4; Path = {images}; Pseudo = /iso; Access_Type = RO; Squash = None; SecType = sys; Protocols = 4;
    FSAL {{ Name = VFS; }} }}
EXPORT {{ Export_Id = 3; Path = {images}/old; Pseudo = /old; Access_Type = RO; Squash = None; SecType = sys; Protocols = 3;
    FSAL {{ Name = VFS; }} }}
"""

SAMBA = """
[global]
  server role = standalone server
  interfaces = {address}
  bind interfaces only = yes
  smb ports = 445
  disable netbios = yes
  private dir = {directory}
  lock directory = {directory}
  state directory = {directory}
  cache directory = {directory}
  pid directory = {directory}
  ncalrpc dir = {directory}/nc
  log file = {directory}/log
  passdb backend = tdbsam:{directory}/passdb.tdb
  load printers = no
  map to guest = never
  host msdfs = yes
[iso]
  path = {images}
  read only = yes
[elsewhere]
  path = {links}
  read only = yes
  msdfs root = yes
"""


def write(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return path


def make_images(directory):
    images = os.path.join(directory, "images")
    for folder in (os.path.join(images, "linux one"), os.path.join(images, "old", "linux one")):
        os.makedirs(os.path.join(folder, "folder.iso"))
        for name in ("a b.iso", "tools.IMG", "notes.txt"):
            write(os.path.join(folder, name), "")
    os.chmod(directory, 0o755)
    return images


def nfs(world, images):
    plugins = subprocess.run("dirname $(dpkg -L nfs-ganesha-vfs | grep libfsalvfs.so)", shell=True, check=True,
                             capture_output=True, text=True).stdout.strip()
    directory = os.path.join(world.directory, "nfs")
    os.makedirs(directory)
    conf = write(os.path.join(directory, "conf"), GANESHA.format(address=NFS, plugins=plugins, directory=directory, images=images))
    world.spawn("nfs", ["ganesha.nfsd", "-F", "-f", conf, "-L", os.path.join(directory, "log"), "-p",
                        os.path.join(directory, "pid")], {})


def port_mapper(world):
    subprocess.run(["mount", "-t", "tmpfs", "none", "/run"], check=True)  # its socket stands there; in our mounts only
    world.spawn("rpcbind", ["rpcbind", "-f", "-h", NFS], {})


def smb(world, images, user, password):
    directory, links = os.path.join(world.directory, "smb"), os.path.join(world.directory, "links")
    os.makedirs(directory + "/nc")
    os.makedirs(links)
    os.symlink("msdfs:127.0.0.1\\inner", os.path.join(links, "inward"))
    conf = write(os.path.join(directory, "smb.conf"), SAMBA.format(address=SMB, directory=directory, images=images, links=links))
    subprocess.run(["smbpasswd", "-c", conf, "-a", "-s", user], input="%s\n%s\n" % (password, password), text=True, check=True,
                   capture_output=True)
    world.spawn("smbd", ["smbd", "-F", "-s", conf], {})


def web(images, port, certs=None, name=None):
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=images)
    handler.func.log_message = lambda *arguments: None
    server = http.server.ThreadingHTTPServer((WEB, port), handler)
    if certs is not None:
        key, cert = certs.server(name)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server
