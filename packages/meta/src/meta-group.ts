/** The metadata is group 0 of every node that hosts a coordinator; partitions begin at 1. */
export const META_GROUP_ID = 0;
