"""Clusters on this machine: real etcd, real broker processes, one parent which ends them all."""
