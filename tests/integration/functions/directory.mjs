// A slapd of its own in FreeIPA's layout, with LDAPS; gone at the end.
import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { CANARIES, freePort, until } from './lib.mjs';

const person = (uid, name, more = '') => `dn: uid=${uid},cn=users,cn=accounts,dc=example,dc=test
objectClass: inetOrgPerson
uid: ${uid.replaceAll('\\', '')}
cn: ${name}
sn: ${name}
userPassword: ${CANARIES.directory}
${more}
`;

const TREE = `dn: dc=example,dc=test
objectClass: dcObject
objectClass: organization
o: example
dc: example

${['accounts', 'users,cn=accounts', 'groups,cn=accounts'].map((name) => `dn: cn=${name},dc=example,dc=test
objectClass: nsContainer
cn: ${name.split(',')[0]}
`).join('\n')}
${person('ann', 'Ann Example', `mail: ann@example.test
title: Boss
departmentNumber: 7
memberOf: cn=ops,cn=groups,cn=accounts,dc=example,dc=test`)}
${person('ben', 'Ben', '')}
${person('cy', 'Cy', 'mail: []')}
${person('o*(d)\\,d', 'Odd', '')}
dn: cn=ops,cn=groups,cn=accounts,dc=example,dc=test
objectClass: groupOfNames
cn: ops
member: uid=ann,cn=users,cn=accounts,dc=example,dc=test
member: uid=ben,cn=users,cn=accounts,dc=example,dc=test

dn: cn=ops-admins,cn=groups,cn=accounts,dc=example,dc=test
objectClass: groupOfNames
cn: ops-admins
member: uid=cy,cn=users,cn=accounts,dc=example,dc=test
`;

// `allow bind_anon_cred`: an empty password binds here, as on FreeIPA and Active Directory.
const config = (dir, peer) => `include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
objectclass ( 2.16.840.1.113730.3.2.999 NAME 'nsContainer' SUP top STRUCTURAL MUST cn )
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload memberof
allow bind_anon_cred
pidfile ${dir}/slapd.pid
TLSCertificateFile ${peer}/peer.crt
TLSCertificateKeyFile ${peer}/peer.key
database mdb
maxsize 10485760
suffix dc=example,dc=test
directory ${dir}/data
overlay memberof
access to attrs=userPassword by anonymous auth by * none
access to * by users read by * none
`;

export async function startDirectory() {
  const peer = process.env.BASALT_TEST_DIR;
  const dir = `${peer}/ldap`;
  mkdirSync(`${dir}/data`, { recursive: true });
  writeFileSync(`${dir}/slapd.conf`, config(dir, peer));
  writeFileSync(`${dir}/tree.ldif`, TREE);
  execFileSync('/usr/sbin/slapadd', ['-f', `${dir}/slapd.conf`, '-l', `${dir}/tree.ldif`], { stdio: ['ignore', 'ignore', 'inherit'] });
  const port = await freePort(), plainPort = await freePort();
  const child = spawn('/usr/sbin/slapd', ['-d', '0', '-f', `${dir}/slapd.conf`, '-h',
    `ldaps://127.0.0.1:${port} ldaps://127.0.0.2:${port} ldap://127.0.0.1:${plainPort}`], { stdio: ['ignore', 'ignore', 'inherit'] });
  const accepts = () => new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1', () => { socket.destroy(); resolve(true); });
    socket.on('error', () => resolve(false));
  });
  await until('the directory server', accepts);
  return {
    port, plainPort,
    close: () => new Promise((resolve) => { child.once('exit', resolve); child.kill('SIGTERM'); }),
  };
}
